"""Reads a Docker image layer by layer, so that a test sees what a later layer only hides."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docker import DockerClient


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of one layer."""

    layer: int
    """Counted from the base, which is 0."""
    path: str
    mode: int
    is_file: bool
    size: int
    content: bytes
    """Of regular files up to `CONTENT_BYTES`, else empty."""


CONTENT_BYTES = 4_000_000


def read(client: DockerClient, image: str) -> tuple[dict[str, Any], list[str], list[Entry]]:
    """Return the image's configuration, its layers' digests from the base up, and every entry of every layer."""
    archive = io.BytesIO(b"".join(client.images.get(image).save(chunk_size=1 << 20)))
    with tarfile.open(fileobj=archive) as saved:
        manifest = json.load(_file(saved, "manifest.json"))[0]
        configuration = json.load(_file(saved, manifest["Config"]))
        entries = [
            entry
            for number, name in enumerate(manifest["Layers"])
            for entry in _entries(number, _file(saved, name).read())
        ]
    return configuration, configuration["rootfs"]["diff_ids"], entries


def whole(entries: list[Entry]) -> list[Entry]:
    """What a container sees: of each path the last layer's, without what a later layer deletes."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        if name == ".wh..wh..opq":
            hidden = f"{folder}/"
            seen = {
                path: kept for path, kept in seen.items() if kept.layer == entry.layer or not path.startswith(hidden)
            }
        elif name.startswith(".wh."):
            gone = f"{folder}/{name.removeprefix('.wh.')}"
            seen = {path: kept for path, kept in seen.items() if path != gone and not path.startswith(f"{gone}/")}
        else:
            seen[entry.path] = entry
    return list(seen.values())


def _file(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None, f"{name} is missing in the saved image"
    return found


def _entries(number: int, layer: bytes) -> Iterator[Entry]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        for member in files:
            content = b""
            if member.isfile() and member.size <= CONTENT_BYTES:
                content = _file(files, member.name).read()
            yield Entry(
                number, f"/{member.name.removeprefix('./')}", member.mode, member.isfile(), member.size, content
            )
