"""What the Docker daemon holds under one test's name, and how to be rid of it."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound

_PROGRAMS = ("sh", "sleep", "cat", "true", "false", "echo", "grep")


class DockerObjects:
    """The objects whose names begin with a prefix that no other test has."""

    def __init__(self, prefix: str) -> None:
        """Connect to the daemon that the stand-ins use."""
        self.prefix = prefix
        self.client = docker.from_env()

    def containers(self) -> list[Any]:
        """Containers, running or not."""
        return self._own(self.client.containers.list(all=True, ignore_removed=True))

    def names(self) -> list[str]:
        """The names of all containers, networks and volumes, sorted."""
        found = [*self.containers(), *self._own(self.client.networks.list()), *self._own(self.client.volumes.list())]
        return sorted(str(item.name) for item in found)

    def inspect(self, name: str) -> dict[str, Any]:
        """A container as Docker describes it."""
        return self.client.containers.get(name).attrs

    def remove(self) -> None:
        """Remove everything under the prefix."""
        for container in self.containers():
            try:
                container.remove(force=True, v=True)
            except NotFound:
                continue
        for network in self._own(self.client.networks.list()):
            network.remove()
        for volume in self._own(self.client.volumes.list()):
            volume.remove(force=True)
        # One request: `images.list` asks for each image once more, and others remove theirs meanwhile.
        for image in self.client.api.images():
            for tag in image["RepoTags"] or ():
                if tag.startswith(self.prefix):
                    self.client.images.remove(tag, force=True)

    def _own(self, items: Iterable[Any]) -> list[Any]:
        return [item for item in items if str(item.name).startswith(self.prefix)]


def import_tiny_image(tag: str) -> None:
    """Make an image of a shell and a few programs of this machine: a few megabytes, in half a second."""
    programs = {name: path for name in _PROGRAMS if (path := shutil.which(name))}
    files: dict[str, Path] = {}
    for name, path in programs.items():
        files[f"bin/{name}"] = Path(path)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for word in listed.split():
            if word.startswith("/"):
                files[word.lstrip("/")] = Path(word)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, path in files.items():
            tar.add(path.resolve(), arcname=name)
        for folder in ("tmp", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
    repository, _, version = tag.partition(":")
    docker.from_env().api.import_image_from_data(archive.getvalue(), repository=repository, tag=version)
