"""`make scan`: Dockerfiles, workflows and images, against everything that is known to be wrong with such."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from engine.image_family.matrix import load
from engine.image_family.names import read_references, read_version
from engine.paths import CHECKOUT
from engine.report import say
from engine.scanning.configuration import configuration
from engine.scanning.findings import Finding
from engine.scanning.scan import accepted, record, scan_images
from engine.scanning.vulnerabilities import Database

SHOWN = 5
"""Findings of one kind in one image that are shown; all are in the file."""
RESULT = CHECKOUT / "dist" / "scan.json"


def scan(images: str, version: str, osv: Path | None, *, only_configuration: bool) -> bool:
    """Scan; return whether nothing is wrong. `images` are references, by default the family's tagged `version`."""
    references = {} if only_configuration else _references(images, version)
    database = None if osv is None else Database(osv)
    found: list[Finding] = list(configuration(CHECKOUT, say))
    click.echo(f"configuration: {_count(found)}")
    if not only_configuration:
        for name, its, carried in scan_images(references, database):
            click.echo(f"{name}: {carried} packages, {_count(its)}")
            found += its
        if database is None:
            click.echo("packages: not judged; OSV=folder names a vulnerability database (docs/images.md)")
    left, remarks = accepted(found, datetime.now(UTC).date())
    for each, hidden in _shown(left):
        click.secho(f"{each.subject}  {each.name}", fg="red" if each.fails else "yellow")
        click.echo(f"    {each.what}")
        if hidden:
            click.echo(f"    and {hidden} more of {each.check}: {RESULT.relative_to(CHECKOUT)}")
    # Of a part nobody can tell that an exception covers nothing.
    for remark in remarks if not (only_configuration or images or database is None) else []:
        click.echo(remark)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record(left, database is None), indent=2) + "\n")
    return not any(each.fails for each in left)


def _shown(found: list[Finding]) -> Iterator[tuple[Finding, int]]:
    """The first of each kind in each image, and with the last of them how many are left out."""
    kinds = Counter((each.subject, each.check) for each in found)
    seen: Counter[tuple[str, str]] = Counter()
    for each in found:
        kind = (each.subject, each.check)
        seen[kind] += 1
        if seen[kind] <= SHOWN:
            yield each, kinds[kind] - SHOWN if seen[kind] == SHOWN else 0


def _count(found: list[Finding]) -> str:
    return f"{len(found)} finding{'' if len(found) == 1 else 's'}"


def _references(images: str, version: str) -> dict[str, str]:
    tag, given = read_version(version), read_references(images)
    if given:
        return {each: each for each in given}
    return {each.name: f"{each.repository}:{tag}" for each in load().image}
