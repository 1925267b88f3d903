"""An image's layers, file by file: also what a later layer deletes or covers, because it is published all the same."""

import json
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from engine.errors import UserFacingError

CONTENT_BYTES = 4_000_000
"""Larger files are judged by name and mode only."""

_DELETED = ".wh."
_EMPTIED = ".wh..wh..opq"


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of one layer."""

    layer: int
    path: str
    mode: int
    kind: bytes
    """As tarfile has it: `tarfile.REGTYPE`, `DIRTYPE`, `SYMTYPE`, ..."""
    size: int
    content: bytes
    """Of regular files up to `CONTENT_BYTES`, else empty."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file (or a second name of one)."""
        return self.kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.LNKTYPE)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == tarfile.DIRTYPE


@dataclass(frozen=True)
class SavedImage:
    """What `docker save` wrote of one image."""

    configuration: dict[str, Any]
    layers: Callable[[], Iterator[Entry]]
    """Every entry of every layer, from the base up."""


def opened(saved: Iterable[bytes], work: IO[bytes]) -> SavedImage:
    """Read what `docker save` streams; `work` is a temporary file that stays open as long as the image is read."""
    for piece in saved:
        work.write(piece)
    work.flush()
    archive = tarfile.open(fileobj=_rewound(work))  # noqa: SIM115 - read later, closed with `work`
    manifest = json.load(_member(archive, "manifest.json"))[0]
    configuration = json.load(_member(archive, manifest["Config"]))

    def entries() -> Iterator[Entry]:
        for number, name in enumerate(manifest["Layers"]):
            yield from _entries(number, _member(archive, name))

    return SavedImage(configuration, entries)


def temporary() -> IO[bytes]:
    """A file for `opened`."""
    return tempfile.TemporaryFile(prefix="agent-fleet-scan-")


def visible(entries: Iterable[Entry]) -> dict[str, Entry]:
    """What a container sees, by path: of each path the last layer's, without what a later layer deletes."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        if name == _EMPTIED:
            inside = f"{folder}/"
            seen = {
                path: kept for path, kept in seen.items() if kept.layer == entry.layer or not path.startswith(inside)
            }
        elif name.startswith(_DELETED):
            gone = f"{folder}/{name.removeprefix(_DELETED)}"
            seen = {path: kept for path, kept in seen.items() if path != gone and not path.startswith(f"{gone}/")}
        else:
            seen[entry.path] = entry
    return seen


def _rewound(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    if found is None:
        raise UserFacingError(f"Docker saved an image without its {name}.", "Build the image again.")
    return found


def _entries(number: int, layer: IO[bytes]) -> Iterator[Entry]:
    with tarfile.open(fileobj=layer, mode="r|*") as files:
        for member in files:
            content = b""
            if member.isreg() and member.size <= CONTENT_BYTES:
                found = files.extractfile(member)
                content = b"" if found is None else found.read()
            path = f"/{member.name.removeprefix('./').rstrip('/')}"
            yield Entry(number, path, member.mode, member.type, member.size, content)
