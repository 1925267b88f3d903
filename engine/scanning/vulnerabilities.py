"""Packages against a copy of the OSV database (https://osv.dev), without any network.

The database is a folder of OSV's own exports: `<ecosystem>/all.zip`, or the records as `<ecosystem>/<id>.json`. Which
records are meant is the schema's own rule (https://ossf.github.io/osv-schema/#evaluation); which version is newer is
the ecosystem's, from the library univers.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

from univers.versions import DebianVersion, PypiVersion, SemverVersion

from engine.errors import UserFacingError
from engine.scanning.findings import Finding
from engine.scanning.packages import Package, normal_python

# univers makes its classes with attrs, whose constructors its annotations do not show.
_VERSIONS = cast(
    "dict[str, Callable[[str], Any]]", {"Debian": DebianVersion, "PyPI": PypiVersion, "npm": SemverVersion}
)


_DAYS = 14
"""An older database is told, and fails the scan: what was found since is not in it."""


class Database:
    """A folder with OSV's exports."""

    def __init__(self, folder: Path) -> None:
        """Raises UserFacingError if it is no such folder."""
        self._folder = folder
        if not folder.is_dir() or not any(each.is_dir() for each in folder.iterdir()):
            raise UserFacingError(
                f"OSV is {str(folder)!r}, and there is no folder with a vulnerability database.",
                "It holds <ecosystem>/all.zip of OSV's export, as PyPI/all.zip; docs/images.md says where from.",
            )

    def records(self, ecosystem: str, names: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The records that may be about packages of these names."""
        # Hundreds of thousands of records, of which some tens are read in full. PyPI's may have any form of a name.
        known = [re.escape(each.encode()) for each in names]
        if ecosystem == "PyPI":
            known = [each.replace(rb"\-", b"[-_.]+") for each in known]
        mentioned = re.compile(rb'"name":\s*"(?:' + b"|".join(known) + rb')"', re.I)
        place = self._folder / ecosystem
        try:
            for content in _contents(place):
                if mentioned.search(content):
                    record = json.loads(content)
                    if not record.get("withdrawn"):
                        yield record
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UserFacingError(
                f"The vulnerability database in {place} cannot be read: {error}.", "Get it again, then run this again."
            ) from None

    def days_old(self, ecosystem: str, today: date) -> int:
        """Since when it says nothing new about this ecosystem, by its newest record."""
        place = self._folder / ecosystem
        archive = place / "all.zip"
        if archive.exists():
            with zipfile.ZipFile(archive) as exported:
                newest = max((date(*each.date_time[:3]) for each in exported.infolist()), default=date.min)
        else:
            newest = max(datetime.fromtimestamp(path.stat().st_mtime, UTC).date() for path in place.glob("*.json"))
        return (today - newest).days

    def lacks(self, ecosystem: str) -> bool:
        """Whether it says nothing about this ecosystem."""
        place = self._folder / ecosystem
        return not (place / "all.zip").exists() and next(place.glob("*.json"), None) is None


def _contents(place: Path) -> Iterator[bytes]:
    archive = place / "all.zip"
    if archive.exists():
        with zipfile.ZipFile(archive) as exported:
            for name in exported.namelist():
                yield exported.read(name)
        return
    for path in sorted(place.glob("*.json")):
        yield path.read_bytes()


def vulnerabilities(
    subject: str, found: set[Package], database: Database, today: date | None = None
) -> Iterator[Finding]:
    """What the database has against the packages, and whether it is too old to say.

    What nobody has mended yet is told, and fails no scan.
    """
    today = today or datetime.now(UTC).date()
    by_ecosystem: dict[str, dict[str, list[Package]]] = {}
    for package in found:
        by_ecosystem.setdefault(package.ecosystem, {}).setdefault(package.name, []).append(package)
    for ecosystem, by_name in sorted(by_ecosystem.items()):
        if database.lacks(ecosystem):
            yield Finding(
                "no-database", subject, ecosystem, f"the database has no {ecosystem}: its packages are unjudged"
            )
            continue
        for record in database.records(ecosystem, by_name):
            yield from _of_record(subject, record, ecosystem, by_name)
        if (days := database.days_old(ecosystem, today)) > _DAYS:
            said = f"its newest record is {days} days old; allowed are {_DAYS}: get the database again"
            yield Finding("old-database", subject, ecosystem, said)


def _of_record(
    subject: str, record: dict[str, Any], ecosystem: str, by_name: dict[str, list[Package]]
) -> Iterator[Finding]:
    told: set[Package] = set()
    for affected in record.get("affected", []):
        about = affected.get("package", {})
        name = normal_python(about.get("name", "")) if ecosystem == "PyPI" else about.get("name", "")
        if about.get("ecosystem") != ecosystem:
            continue
        for package in by_name.get(name, []):
            if package in told or not _concerns(package, affected):
                continue
            told.add(package)
            mended = sorted(
                {event["fixed"] for each in affected.get("ranges", []) for event in each["events"] if "fixed" in event}
            )
            aliases = ", ".join(each for each in record.get("aliases", []) if each.startswith("CVE-"))
            summary = str(record.get("summary") or record.get("details") or "").strip().partition("\n")[0][:100]
            advice = f"mended in {', '.join(mended)}" if mended else "not mended yet"
            said = f"{aliases + ': ' if aliases else ''}{summary or 'no summary'}; {advice}"
            yield Finding(str(record["id"]), subject, f"{package.name}@{package.version}", said, fails=bool(mended))


def _concerns(package: Package, affected: dict[str, Any]) -> bool:
    if package.version in affected.get("versions", []):
        return True
    kind = _VERSIONS[package.ecosystem.partition(":")[0]]
    return any(
        _inside(kind, package.version, each["events"]) for each in affected.get("ranges", []) if each["type"] != "GIT"
    )


def _inside(kind: Callable[[str], Any], given: str, events: list[dict[str, str]]) -> bool:
    try:
        version = kind(given)
        ordered = sorted(events, key=lambda event: _place(kind, event))
    except ValueError:
        # What cannot be compared counts as concerned: somebody looks, and writes an exception.
        return True
    concerned = False
    for event in ordered:
        name, text = next(iter(event.items()))
        if name == "introduced" and (text == "0" or version >= kind(text)):
            concerned = True
        elif (name == "fixed" and version >= kind(text)) or (name == "last_affected" and version > kind(text)):
            concerned = False
    return concerned


def _place(kind: Callable[[str], Any], event: dict[str, str]) -> tuple[int, Any]:
    text = next(iter(event.values()))
    return (0, 0) if text == "0" else (1, kind(text))
