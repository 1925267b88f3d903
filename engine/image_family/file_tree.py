"""A hash of what an image's file system is, once all its layers lie on one another.

It covers each path's kind, mode, owner and content, or where it points; not times, nor how the content is spread over
layers or compressed. Two builds of the same inputs must agree in it, on any machine.
"""

import hashlib
import posixpath
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

_HIDDEN, _OPAQUE = ".wh.", ".wh..wh..opq"
_CHUNK_BYTES = 1 << 20


class FileTree:
    """Takes layers from the base up."""

    def __init__(self) -> None:
        """An empty file system."""
        self._entries: dict[str, str] = {}
        self._folders: dict[str, set[str]] = {}

    def add(self, layer: Path, going_on: Callable[[], None] = lambda: None) -> None:
        """Lay an uncompressed layer over what there is; `going_on` is called now and then, and may raise."""
        with tarfile.open(layer) as archive:
            hidden, added = [], []
            for member in archive:
                going_on()
                path = posixpath.normpath("/" + member.name)
                folder, name = posixpath.split(path)
                if name == _OPAQUE:
                    hidden += [posixpath.join(folder, child) for child in self._folders.get(folder, ())]
                elif name.startswith(_HIDDEN):
                    hidden.append(posixpath.join(folder, name.removeprefix(_HIDDEN)))
                else:
                    added.append((path, _described(archive, member), member.isdir()))
            # What a layer hides is in those below it, wherever the entry stands.
            for path in hidden:
                self._remove(path)
            for path, description, is_folder in added:
                if not is_folder:
                    self._remove(path)
                self._entries[path] = description
                folder, name = posixpath.split(path)
                self._folders.setdefault(folder, set()).add(name)

    def _remove(self, path: str) -> None:
        for child in self._folders.pop(path, set()):
            self._remove(posixpath.join(path, child))
        self._entries.pop(path, None)
        folder, name = posixpath.split(path)
        self._folders.get(folder, set()).discard(name)

    def lines(self) -> list[str]:
        """One for each path, sorted, to compare two images by."""
        return [f"{path}\0{description}" for path, description in sorted(self._entries.items())]

    def hash(self) -> str:
        """Hexadecimal SHA-256."""
        return hashlib.sha256("\n".join(self.lines()).encode("utf-8", "surrogateescape")).hexdigest()


def of_layers(layers: Iterable[Path]) -> FileTree:
    """The file system of these layers, from the base up."""
    tree = FileTree()
    for layer in layers:
        tree.add(layer)
    return tree


def _described(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    owner = f"{member.mode & 0o7777:o}\0{member.uid}:{member.gid}"
    capabilities = member.pax_headers.get("SCHILY.xattr.security.capability", "")
    if member.isfile():
        content = archive.extractfile(member)
        digest = hashlib.sha256()
        while content is not None and (chunk := content.read(_CHUNK_BYTES)):
            digest.update(chunk)
        return f"file\0{owner}\0{digest.hexdigest()}\0{capabilities}"
    if member.islnk():
        # Its mode and content are those of what it is a second name of.
        return f"hard link\0{posixpath.normpath('/' + member.linkname)}"
    if member.issym():
        return f"link\0{member.linkname}"
    if member.ischr() or member.isblk():
        return f"device\0{owner}\0{member.devmajor}:{member.devminor}"
    return f"{'folder' if member.isdir() else 'pipe'}\0{owner}"
