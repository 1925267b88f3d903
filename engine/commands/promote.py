"""`make promote`: the digests that one stack runs, verified again, written into the next stack's settings."""

import difflib
import json
import os
from pathlib import Path
from typing import Any

import click

from engine import configuration
from engine.errors import UserFacingError
from engine.image_family import record
from engine.paths import Paths
from engine.promotion import settings_text
from engine.promotion.published import check_published


def promote(paths: Paths, origin: str, target: str, key: Path | None, *, dry_run: bool) -> bool:
    """Promote from a stack, a release's JSON file or `images` (what was pushed last here); return whether it changed.

    Raises UserFacingError before anything is written if one of the images is not there, not signed by the public key,
    or without a signed SBOM and provenance. Nothing but the digests in the target's settings changes.
    """
    if not origin or not target or origin == target:
        raise UserFacingError(
            f"FROM is {origin!r} and TO is {target!r}; wanted are two different stacks.",
            "For example `make promote FROM=staging TO=prod KEY=cosign.pub`.",
        )
    public = _public(key)
    path = configuration.source(paths, target)
    given = _given(paths, origin)
    changed = settings_text.exchanged(path, given)
    before = path.read_text()
    for name in settings_text.digests_named(path):
        check_published(given[name], public)
        click.echo(f"{name}: there, signed, with SBOM and provenance")
    if changed == before:
        click.echo(f"{path.name} has these digests already.")
        return False
    difference = difflib.unified_diff(
        before.splitlines(), changed.splitlines(), path.name, path.name, "", "promoted", 0, ""
    )
    click.echo("\n".join(difference))
    if dry_run:
        click.echo("Nothing was written: DRY_RUN=1.")
        return False
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(changed)
        part.chmod(path.stat().st_mode)
        configuration.check(paths, target, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{path.name} is written. See `make preview STACK={target}`, commit it, then `make up STACK={target}`.")
    return True


def _public(key: Path | None) -> str:
    try:
        text = key.expanduser().read_text() if key is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserFacingError(f"KEY={key} cannot be read: {error}.", "Give the public key: KEY=cosign.pub.") from None
    if "PUBLIC KEY" not in text:
        raise UserFacingError(
            f"KEY is {str(key or '')!r}, and that is no public key.", "Give the one that signed: KEY=cosign.pub."
        )
    return text


def _given(paths: Paths, origin: str) -> dict[str, str]:
    if origin == "images":
        return _pushed_here()
    if origin.endswith(".json"):
        return _release(Path(origin))
    return settings_text.digests(configuration.source(paths, origin))


def _pushed_here() -> dict[str, str]:
    folders = sorted(record.FOLDER.iterdir()) if record.FOLDER.is_dir() else []
    found = {folder.name: made for folder in folders if (made := record.read(folder)) is not None}
    return {name: f"{made.repository}@{made.digest}" for name, made in found.items()}


def _release(path: Path) -> dict[str, str]:
    try:
        document: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserFacingError(f"FROM={path} cannot be read: {error}.", "It is a release's digests.json.") from None
    if not isinstance(document, dict):
        raise UserFacingError(f"FROM={path} is no object of names and images.", "It is a release's digests.json.")
    for name, value in document.items():
        settings_text.check_digest(f"{path.name}: {name}", str(value))
    return {str(name): str(value) for name, value in document.items()}
