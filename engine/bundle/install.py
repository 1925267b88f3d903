"""Installs from a bundle: checked as a whole before anything is changed, and without a network."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import yaml

from engine import configuration
from engine.bundle import images, programs
from engine.bundle.archive import MANIFEST, BundleError, unpack
from engine.errors import UserFacingError
from engine.paths import Paths, cache_directory
from engine.report import Report, private_file
from settings.agent_image_names import key_of_image

_SETTINGS = (*images.NEEDED, "redis")
"""The images that `fleet.images.imported` names, wherever they run."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was checked and unpacked."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def entries(self) -> Mapping[str, Mapping[str, Any]]:
        """What is in it, by path."""
        return self.manifest["entries"]

    @property
    def has_cluster(self) -> bool:
        """Whether it was made with what `make cluster` starts."""
        return any(path.startswith(f"{programs.KUBERNETES}/") for path in self.entries)

    def images(self) -> dict[str, Mapping[str, Any]]:
        """Its images by name; each with `id` and `reference`, and `path` within the folder."""
        return {
            entry["image"]: {**entry, "path": path}
            for path, entry in self.entries.items()
            if entry["kind"] == images.KIND
        }

    def archives(self) -> dict[str, tuple[str, Callable[[], bytes]]]:
        """The images that a cluster's nodes run, each by its name there and what reads it as containerd takes it."""

        def reader(path: str) -> Callable[[], bytes]:
            return lambda: images.unpacked_archive(self.folder, path)

        return {
            name: (str(each["reference"]), reader(str(each["path"])))
            for name, each in self.images().items()
            if name in _SETTINGS
        }

    def install_programs(self, paths: Paths, report: Report) -> None:
        """The engine and its plugins, where they are missing."""
        programs.install(self.folder, self.manifest, paths, report)

    def load_images(self, client: docker.DockerClient, report: Report) -> None:
        """All images into Docker, but those that it has."""
        # Not those that it has: a run that was cut off, or a second one, would need their room once more.
        lacking = images.lacking(client, self.entries)
        free, needed = images.free_bytes(client), sum(each["bytes"] for each in lacking.values()) * 3
        if free is not None and free < needed:
            raise UserFacingError(
                f"Docker's disk has {free / 1e9:.1f} GB free; the bundle's images take up to {needed / 1e9:.1f} GB.",
                "Free space there, and run the command again.",
            )
        report("Loading the bundle's images into Docker.")
        images.load(client, self.folder, lacking, report)

    def settings(self, paths: Paths, stack: str, source: Path) -> Path:
        """A copy of the stack's settings that takes the images from the bundle: by id on a Docker host, else by name.

        What the file says of images is replaced: nothing can be built or pulled here.
        """
        document = yaml.safe_load(source.read_text())
        fleet = document["config"][configuration.KEY]
        kind = "reference" if fleet.get("architecture") == "cluster" else "id"
        known = self.images()
        if missing := [name for name in images.NEEDED if name not in known]:
            raise UserFacingError(f"The bundle has no image {missing[0]}.", "Make it anew: make bundle.")
        imported: dict[str, Any] = {name: known[name][kind] for name in _SETTINGS if name in known}
        # Only a Docker host has agents' images.
        if kind == "id" and (agents := _agents(known)):
            imported["agents"] = agents
        fleet["images"] = {"imported": imported}
        target = paths.fleet / f"bundle-{stack}.yaml"
        private_file(target, yaml.safe_dump(document, sort_keys=False))
        return target


def _agents(known: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the agents' images by the names that settings have for them."""
    keys = {key_of_image(name): str(image["id"]) for name, image in known.items()}
    return {key: image for key, image in keys.items() if key is not None}


def open_bundle(path: Path, report: Report) -> Bundle:
    """Check the whole bundle and unpack it into the user's cache; raises UserFacingError naming a wrong entry."""
    try:
        folder = unpack(path, cache_directory(), report)
    except BundleError as error:
        message, _, remedy = str(error).partition("\n")
        raise UserFacingError(message, remedy) from error
    return Bundle(folder, json.loads((folder / MANIFEST).read_text()))
