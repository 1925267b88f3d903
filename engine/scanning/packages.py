"""Which packages an image carries, as vulnerability databases name them."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser

from engine.scanning.image_layers import Entry

_DEBIAN = re.compile(r"^/var/lib/dpkg/(status|status\.d/[^/]+)$")
_PYTHON = re.compile(r"\.(dist|egg)-info/METADATA$")
_NODE = re.compile(r"/node_modules/(@[^/]+/)?[^/]+/package\.json$")
_RELEASE = re.compile(r'^VERSION_ID="?(\d+)"?$', re.MULTILINE)


@dataclass(frozen=True, order=True)
class Package:
    """One package of one ecosystem of https://ossf.github.io/osv-schema."""

    ecosystem: str
    """`Debian:12`, `PyPI` or `npm`."""
    name: str
    """As the database knows it: of Debian the source package."""
    version: str


def packages(seen: dict[str, Entry]) -> set[Package]:
    """All packages of what a container sees (`image_layers.visible`)."""
    release = next(
        (
            found[1]
            for path in ("/usr/lib/os-release", "/etc/os-release")
            if path in seen and (found := _RELEASE.search(seen[path].content.decode("utf-8", "replace")))
        ),
        None,
    )
    return {package for entry in seen.values() if entry.content for package in _of(entry, release)}


def _of(entry: Entry, release: str | None) -> Iterator[Package]:
    if _DEBIAN.match(entry.path):
        for stanza in entry.content.decode("utf-8", "replace").split("\n\n"):
            # Of no release that is known: no database has that, which is told. Left out, they would look clean.
            yield from _debian(stanza, release or "unknown")
    elif _PYTHON.search(entry.path):
        described = HeaderParser().parsestr(entry.content.decode("utf-8", "replace"), headersonly=True)
        if described["Name"] and described["Version"]:
            yield Package("PyPI", normal_python(described["Name"]), described["Version"])
    elif _NODE.search(entry.path):
        yield from _node(entry.content)


def _debian(stanza: str, release: str) -> Iterable[Package]:
    fields = HeaderParser().parsestr(stanza.strip(), headersonly=True)
    if not fields["Package"] or " installed" not in (fields["Status"] or " installed"):
        return
    source, _, version = (fields["Source"] or fields["Package"]).partition(" ")
    yield Package(f"Debian:{release}", source, version.strip("()") or fields["Version"] or "")


def _node(content: bytes) -> Iterable[Package]:
    try:
        described = json.loads(content)
    except ValueError:
        return
    if isinstance(described, dict):
        name, version = described.get("name"), described.get("version")
        if isinstance(name, str) and isinstance(version, str):
            yield Package("npm", name, version)


def normal_python(name: str) -> str:
    """A project's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
