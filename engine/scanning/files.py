"""Files that no image should have: programs that change their user, what everybody may write, and caches."""

import re
from collections.abc import Iterable, Iterator

from engine.scanning.findings import Finding
from engine.scanning.image_layers import Entry

_CACHES = re.compile(
    r"^/(var/lib/apt/lists|var/cache/apt|var/cache/debconf/.*-old|var/log|tmp|var/tmp|root/\.(cache|npm|cargo))(/|$)"
    r"|/(\.npm/_cacache|\.cache/pip|\.cargo/registry|__pycache__/.*\.tmp)(/|$)"
)
_CHANGES_USER = 0o6000
_STICKY = 0o1000
_OTHERS_WRITE = 0o002


def modes(subject: str, seen: Iterable[Entry]) -> Iterator[Finding]:
    """Judge what a container sees. A folder for everybody is fine where nobody can take away another's files."""
    for entry in seen:
        if entry.is_file and entry.mode & _CHANGES_USER:
            yield Finding("set-user-id", subject, entry.path, f"runs as its owner or group (mode {entry.mode:o})")
        open_folder = entry.is_folder and not entry.mode & _STICKY
        if (entry.is_file or open_folder) and entry.mode & _OTHERS_WRITE:
            yield Finding("world-writable", subject, entry.path, f"everybody may write it (mode {entry.mode:o})")


def caches(subject: str, entries: Iterable[Entry]) -> Iterator[Finding]:
    """Judge every layer: what a later one deletes is pulled by every host all the same."""
    for entry in entries:
        if entry.is_file and entry.size and _CACHES.search(entry.path) and not entry.path.endswith("/lock"):
            yield Finding("cache", subject, entry.path, f"{entry.size} bytes in layer {entry.layer} that nothing reads")
