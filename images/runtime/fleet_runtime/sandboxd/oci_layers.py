"""Puts the layers of an image on top of one another, in a folder that nothing in them can lead out of."""

import contextlib
import os
import shutil
import stat
import tarfile
from typing import IO

from fleet_runtime.sandboxd.posture import USER_ID

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINKS = 40
"""Symbolic links followed for one path, as the kernel does at the most."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerError(Exception):
    """A layer asks for something that no image of ours does; the text names the entry."""


class Root:
    """The folder that becomes a root file system. Everything in it belongs to root and is writable by nobody else.

    Its files are read by every sandbox whatever user IDs it has, so what an image gives to the sandbox's user anybody
    may read. No set-user-ID bit, device, socket or extended attribute of an image is kept.
    """

    def __init__(self, path: str) -> None:
        """Open a folder that exists."""
        self._root = os.open(path, _FOLDER)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._root)

    def apply(self, layer: IO[bytes]) -> None:
        """Add one layer, an uncompressed tar stream; raises LayerError."""
        written: set[str] = set()
        try:
            with tarfile.open(fileobj=layer, mode="r|", errorlevel=2) as archive:
                for entry in archive:
                    self._add(archive, entry, written)
        except (tarfile.TarError, OSError, ValueError) as error:
            raise LayerError(f"a layer cannot be unpacked: {error}") from error

    def write(self, path: str, content: str) -> None:
        """Put a text file into the tree in the stead of what is there."""
        parent, name, _ = self._place(path)
        try:
            _remove(parent, name)
            with os.fdopen(os.open(name, _NEW_FILE, 0o644, dir_fd=parent), "w") as file:
                file.write(content)
        finally:
            os.close(parent)

    def make_folder(self, path: str, mode: int) -> None:
        """Make a folder where there is none, and give it a mode: what is mounted over it takes that over (runc 1.1)."""
        parent, name, _ = self._place(path)
        try:
            if not _is_folder(parent, name):
                _remove(parent, name)
                os.mkdir(name, dir_fd=parent)
            os.chmod(name, mode, dir_fd=parent)
        finally:
            os.close(parent)

    def _add(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, written: set[str]) -> None:
        if not entry.name.strip("/.") and entry.isdir():
            return
        parent, name, place = self._place(entry.name)
        try:
            if name == _OPAQUE:
                self._hide_lower(parent, os.path.dirname(place), written)  # noqa: PTH120 - inside the tree
            elif name.startswith(_WHITEOUT):
                _remove(parent, _plain(name.removeprefix(_WHITEOUT), entry))
            else:
                self._make(archive, entry, parent, name)
                _note(written, place)
        finally:
            os.close(parent)

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        if entry.isdir():
            if not _is_folder(parent, name):
                _remove(parent, name)
                os.mkdir(name, 0o755, dir_fd=parent)
            os.chmod(name, _mode(entry), dir_fd=parent)
            return
        _remove(parent, name)
        if entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
        elif entry.islnk():
            other, other_name, _ = self._place(entry.linkname)
            try:
                os.link(other_name, name, src_dir_fd=other, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(other)
        elif entry.isreg():
            content = archive.extractfile(entry)
            with os.fdopen(os.open(name, _NEW_FILE, 0o600, dir_fd=parent), "wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file, 1024 * 1024)
                os.fchmod(file.fileno(), _mode(entry))
                os.utime(file.fileno(), (entry.mtime, entry.mtime))
        # Devices and pipes: a sandbox has its own /dev, and needs none elsewhere.

    def _hide_lower(self, folder: int, place: str, written: set[str]) -> None:
        """Remove what lower layers have put into a folder, and keep what this one has."""
        for name in os.listdir(folder):
            path = f"{place}/{name}" if place else name
            if path not in written:
                _remove(folder, name)
            elif _is_folder(folder, name):
                inner = os.open(name, _FOLDER, dir_fd=folder)
                try:
                    self._hide_lower(inner, path, written)
                finally:
                    os.close(inner)

    def _place(self, path: str) -> tuple[int, str, str]:
        """Return the folder that holds `path`, opened, its last part, and the whole without links.

        Links are followed as if the tree were the whole file system, so none leads out of it. Folders that are missing
        are made.
        """
        todo = [part for part in reversed(path.split("/")) if part not in {"", "."}]
        if not todo:
            raise LayerError(f"the entry {path!r} has no name")
        name = _plain(todo.pop(0), path)
        found: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                found = found[:-1]
                continue
            here = self._open(found)
            try:
                link = _link(here, part)
                if link is None and not _is_folder(here, part):
                    _remove(here, part)
                    os.mkdir(part, 0o755, dir_fd=here)
            finally:
                os.close(here)
            if link is None:
                found.append(part)
                continue
            links += 1
            if links > _LINKS:
                raise LayerError(f"the entry {path!r} leads through more than {_LINKS} links")
            found = [] if link.startswith("/") else found
            todo += [part for part in reversed(link.split("/")) if part not in {"", "."}]
        return self._open(found), name, "/".join([*found, name])

    def _open(self, parts: list[str]) -> int:
        here = os.dup(self._root)
        for part in parts:
            try:
                below = os.open(part, _FOLDER, dir_fd=here)
            finally:
                os.close(here)
            here = below
        return here


def _mode(entry: tarfile.TarInfo) -> int:
    """Return the mode of a file or folder that belongs to root from now on."""
    mode = entry.mode & 0o755
    return mode | (mode >> 6 & 0o5) if entry.uid == USER_ID else mode


def _note(written: set[str], place: str) -> None:
    while place and place not in written:
        written.add(place)
        place = place.rpartition("/")[0]


def _plain(name: str, entry: object) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise LayerError(f"the entry {getattr(entry, 'name', entry)!r} has no plain name")
    return name


def _link(folder: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _is_folder(parent: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _remove(parent: int, name: str) -> None:
    """Remove whatever has this name; nothing having it is as good."""
    if _is_folder(parent, name):
        shutil.rmtree(name, dir_fd=parent)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
