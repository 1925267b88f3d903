"""Reads a Docker image layer by layer, so that a test sees what a later layer only hides."""

import importlib.util
import io
import json
import re
import struct
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
_LEFT_BEHIND = re.compile(
    r"^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^/var/cache/ldconfig/.|^/var/lib/dpkg/[^/]+-old$"
    r"|^/var/cache/debconf/[^/]+-old$|^/var/log/."
)


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


def of_its_day(base: list[Entry], entries: list[Entry]) -> list[str]:
    """What an image has of the day of its build, in files that its base has not: each a line of words.

    Programs that make users write the day down with the password, ldconfig keeps inodes and times, and byte code
    has the time of its source unless it is asked to have a hash. Sources of packages have the time of the package.
    """
    given = {entry.path for entry in base}
    days = {line.strip() for entry in base if entry.path == "/etc/shadow" for line in entry.content.splitlines()}
    packaged = {
        line
        for entry in entries
        if re.match(r"^/var/lib/dpkg/info/.+\.list$", entry.path)
        for line in entry.content.decode().splitlines()
    }
    found = [entry.path for entry in entries if _LEFT_BEHIND.match(entry.path) and entry.path not in given]
    for entry in whole(entries):
        if entry.path == "/etc/shadow":
            lines = [line.split(b":") for line in entry.content.splitlines() if line.strip() not in days]
            found += [f"the password of {line[0].decode()} is of day {line[2].decode()}" for line in lines if line[2]]
        if entry.is_file and entry.path.endswith(".pyc") and entry.size <= CONTENT_BYTES:
            flags, stamp = struct.unpack_from("<II", entry.content, 4)
            if not flags and importlib.util.source_from_cache(entry.path) not in packaged:
                found.append(f"{entry.path} is of a source of {stamp}")
    return found


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
