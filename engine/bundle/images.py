"""The images of a bundle: saved from this machine's Docker, and loaded into another's."""

import gzip
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from engine.bundle import evidence
from engine.bundle.writing import Staging
from engine.errors import UserFacingError
from engine.image_family import record
from engine.paths import PROJECT
from engine.report import Report

KIND = "image"
NEEDED = ("runtime", "sandbox", "postgres")
"""What every fleet runs on; Redis, agents and the rest of the family are in a bundle where this machine has them."""
_EVIDENCE = "evidence"
_COMPRESSION = 1
"""The largest part of what can be saved, at the speed of a disk."""


@dataclass(frozen=True)
class Found:
    """An image that this machine's Docker has."""

    name: str
    id: str
    bytes: int
    digest: str
    """As a registry names it; empty where `make images` did not write it down for this very image."""
    evidence: dict[str, Path] = field(default_factory=dict[str, Path])
    """What `make images` wrote about this very image, by name."""

    @property
    def reference(self) -> str:
        """Its name by its own content, which clusters' nodes know it by."""
        return f"{PROJECT}/{self.name}:{self.id.removeprefix('sha256:')[:12]}"


def find(client: docker.DockerClient, names: Iterable[str], tag: str, root: Path = record.FOLDER) -> list[Found]:
    """The images of this tag; raises UserFacingError where one that every fleet needs is not there.

    `root` is where `make images` wrote about them; raises UserFacingError where an image's signatures are damaged.
    """
    found: list[Found] = []
    missing: list[str] = []
    for name in names:
        try:
            image = client.images.get(f"{PROJECT}/{name}:{tag}")
        except ImageNotFound:
            missing += [name] if name in NEEDED else []
            continue
        size, folder = int(image.attrs["Size"]), record.folder(name, root)
        kept = record.read(folder)
        if kept is None or kept.image_id != image.id:
            found.append(Found(name, str(image.id), size, ""))
        else:
            found.append(Found(name, str(image.id), size, kept.digest, evidence.files(folder, kept)))
    if missing:
        raise UserFacingError(
            f"This machine's Docker has no image {PROJECT}/{missing[0]}:{tag}.",
            f"Build what is missing: make images ONLY={','.join(missing)} VERSION={tag}. VERSION names the tag of the "
            "images that go into the bundle; dev if not given.",
        )
    return found


def add(client: docker.DockerClient, staging: Staging, images: Iterable[Found], report: Report) -> None:
    """Each image as an entry, and beside it what `make images` wrote about it: SBOM, provenance, signatures."""
    for image in images:
        report(f"  {image.name} ({image.bytes / 1e6:.0f} MB unpacked), {evidence.summary(image.evidence)}")

        def save(part: Path, image: Found = image) -> None:
            found = client.images.get(image.id)
            named_before = image.reference in found.tags
            found.tag(*image.reference.split(":"))
            try:
                # By its new name: the library asks whether the image that it has in hand has that.
                held = client.images.get(image.reference)
                with gzip.GzipFile(part, "wb", compresslevel=_COMPRESSION, mtime=0) as packed:
                    for chunk in held.save(named=image.reference):
                        packed.write(chunk)
            finally:
                if not named_before:
                    client.images.remove(image.reference, noprune=True)

        about = {"image": image.name, "id": image.id, "reference": image.reference, "digest": image.digest}
        staging.add(f"images/{image.name}.tar.gz", KIND, save, f"{image.id}-{_COMPRESSION}", **about)
        for name, file in image.evidence.items():
            staging.add_file(f"images/{image.name}/{name}", _EVIDENCE, file, image=image.name)


def lacking(client: docker.DockerClient, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those of the entries that are images which Docker does not have."""
    return {path: each for path, each in entries.items() if each["kind"] == KIND and not _has(client, each["id"])}


def load(client: docker.DockerClient, folder: Path, entries: Mapping[str, Mapping[str, Any]], report: Report) -> None:
    """Give Docker the images that it lacks; raises UserFacingError where one does not become what it is listed as."""
    for path, entry in lacking(client, entries).items():
        report(f"  {entry['image']} ({entry['bytes'] / 1e6:.0f} MB)")
        try:
            with (folder / path).open("rb") as packed:
                client.images.load(packed)
        except DockerException as error:
            raise UserFacingError(f"Docker could not load {path}: {error}", "Is its disk full?") from error
        if not _has(client, entry["id"]):
            raise UserFacingError(
                f"Docker loaded {path} under another id than {entry['id']}.",
                "It keeps images in another form (its containerd image store): turn that off, or install online.",
            )


def unpacked_archive(folder: Path, path: str) -> bytes:
    """An image's archive as containerd reads it."""
    with gzip.open(folder / path) as packed:
        return packed.read()


def free_bytes(client: docker.DockerClient) -> int | None:
    """What is free on Docker's disk; None where that is in a machine of its own."""
    root = Path(client.info().get("DockerRootDir") or "/nowhere")
    return shutil.disk_usage(root).free if root.exists() else None


def _has(client: docker.DockerClient, image_id: str) -> bool:
    try:
        client.images.get(image_id)
    except ImageNotFound:
        return False
    return True
