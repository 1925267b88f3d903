"""Writes a bundle: each entry into a folder first, which a broken-off run leaves for the next; then the archive."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.bundle.archive import FORMAT, MANIFEST
from engine.errors import UserFacingError

_CHUNK_BYTES = 1 << 20


@dataclass
class Staging:
    """The entries of a bundle to be. `described` is what the manifest says of it as a whole."""

    folder: Path
    described: dict[str, Any] = field(default_factory=dict[str, Any])
    _entries: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def add(self, name: str, kind: str, make: Callable[[Path], None], identity: str = "", **about: Any) -> None:
        """Have an entry: `make` writes it, unless an earlier run did so for the same `identity` (empty: anew)."""
        path, mark = self.folder / "entries" / name, self.folder / "made" / f"{name}.json"
        kept = _mark(mark)
        if not (identity and path.is_file() and kept.get("identity") == identity):
            path.parent.mkdir(parents=True, exist_ok=True)
            mark.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.part")
            make(part)
            kept = {"identity": identity, "sha256": sha256(part), "bytes": part.stat().st_size}
            part.replace(path)
            mark.write_text(json.dumps(kept))
        listed = {"kind": kind, "bytes": kept["bytes"], "sha256": kept["sha256"], **about}
        self._entries[name] = listed

    def add_file(self, name: str, kind: str, source: Path, **about: Any) -> None:
        """An entry that is a file already."""
        self.add(name, kind, lambda part: _copy(source, part), executable=_executable(source), **about)

    def add_text(self, name: str, kind: str, text: str) -> None:
        """An entry of a few lines."""

        def write(part: Path) -> None:
            part.write_text(text)

        self.add(name, kind, write)

    def entries(self) -> Mapping[str, Mapping[str, Any]]:
        """What has been added, by name."""
        return self._entries

    def manifest(self) -> str:
        """The first entry of the archive."""
        listed = dict(sorted(self._entries.items()))
        return json.dumps({"format": FORMAT, **self.described, "entries": listed}, indent=1) + "\n"

    def write(self, target: Path) -> str:
        """Write the archive under another name, then give it its own; its SHA-256, which stands beside it too."""
        manifest = self.folder / MANIFEST
        manifest.write_text(self.manifest())
        part = target.with_name(f".{target.name}.part")
        with tarfile.open(part, "w:", format=tarfile.PAX_FORMAT) as archive:
            for name, path in [(MANIFEST, manifest), *((name, self._path(name)) for name in sorted(self._entries))]:
                archive.add(path, name, filter=_anonymous)
        digest = sha256(part)
        part.replace(target)
        target.with_name(f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n")
        return digest

    def _path(self, name: str) -> Path:
        return self.folder / "entries" / name


def check_space(folder: Path, needed_bytes: int) -> None:
    """Refuse a disk without room for the entries and the archive that is made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise UserFacingError(
            f"A bundle takes about {needed_bytes / 1e9:.1f} GB in {folder} while it is written; "
            f"{free / 1e9:.1f} GB are free.",
            "Free space there, and run the command again: it goes on where it stopped.",
        )


def sha256(path: Path) -> str:
    """Of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(files: Iterable[Path]) -> str:
    """One SHA-256 for the contents of several files."""
    return hashlib.sha256("".join(sha256(each) for each in files).encode()).hexdigest()


def _mark(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _copy(source: Path, part: Path) -> None:
    shutil.copyfile(source, part)


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same archive from the same entries, whoever makes it and when."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o644
    return member
