"""An image of the Docker daemon as an OCI layout on disk, with a manifest digest that is known before any push.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md. Signatures and attestations are added as
cosign's own `cosign save` does it (a manifest each, marked by the annotation `kind`), so that
`cosign verify --local-image` reads the folder.
"""

import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.errors import UserFacingError
from engine.image_family.file_tree import FileTree

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IMAGE_KIND = "dev.cosignproject.cosign/image"
_CHUNK_BYTES = 1 << 20
_LEVEL = 6


@dataclass(frozen=True)
class Exported:
    """What was written."""

    digest: str
    """The manifest's: what an image is known by in a registry."""
    config: str
    compressed_bytes: int
    layers: int
    file_tree: str


class Layout:
    """A folder with an OCI layout."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the layout itself."""
        self.folder = folder

    def begin(self) -> None:
        """Make an empty layout, in place of what was there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "blobs" / "sha256").mkdir(parents=True)
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self._write_index([])

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def put(self, content: bytes) -> dict[str, Any]:
        """Keep a blob; return digest and size as a descriptor has them."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blob(digest).write_bytes(content)
        return {"digest": digest, "size": len(content)}

    def manifest(self, kind: str) -> dict[str, Any] | None:
        """The descriptor of the manifest of this kind."""
        return next((each for each in self._index() if each.get("annotations", {}).get("kind") == kind), None)

    def add_manifest(self, kind: str, config: dict[str, Any], layers: list[dict[str, Any]]) -> str:
        """Write a manifest in place of the one of the same kind; return its digest."""
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        descriptor = self.put(json.dumps(manifest, separators=(",", ":")).encode())
        entry = {"mediaType": MANIFEST, **descriptor, "annotations": {"kind": kind}}
        others = [each for each in self._index() if each.get("annotations", {}).get("kind") != kind]
        self._write_index([*others, entry])
        return str(descriptor["digest"])

    def _index(self) -> list[dict[str, Any]]:
        return json.loads((self.folder / "index.json").read_text())["manifests"]

    def _write_index(self, manifests: list[dict[str, Any]]) -> None:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        part = self.folder / "index.json.part"
        part.write_text(json.dumps(index))
        part.replace(self.folder / "index.json")


def export(saved: Iterable[bytes], folder: Path, going_on: Callable[[], None]) -> Exported:
    """Write what `docker save` streams as a layout to `folder`, whole or not at all.

    `going_on` is called between pieces and may raise. The compression has no time in it, so that the same layers have
    the same digest with the same zlib.
    """
    work = folder.with_name(f"{folder.name}.part")
    layout = Layout(work)
    layout.begin()
    archive_file = work / "saved.tar"
    try:
        with archive_file.open("wb") as target:
            for piece in saved:
                going_on()
                target.write(piece)
        with tarfile.open(archive_file) as archive:
            exported = _written(archive, layout, going_on)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise UserFacingError(
            f"An image could not be written to {folder.parent}: {error.strerror or error}.",
            "Free space there if the disk is full, and run the command again.",
        ) from None
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    archive_file.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)
    return exported


def _written(archive: tarfile.TarFile, layout: Layout, going_on: Callable[[], None]) -> Exported:
    manifest = json.load(_member(archive, "manifest.json"))[0]
    config = _member(archive, manifest["Config"]).read()
    tree, layers = FileTree(), []
    plain = layout.folder / "layer.tar"
    for name, expected in zip(manifest["Layers"], json.loads(config)["rootfs"]["diff_ids"], strict=True):
        found = _unpacked(_member(archive, name), plain, going_on)
        if found != expected:
            raise UserFacingError(
                f"Docker gave a layer whose content is {found}, and its configuration says {expected}.",
                "Its store is damaged: build again with NO_CACHE=1.",
            )
        tree.add(plain, going_on)
        layers.append({"mediaType": LAYER, **_compressed(plain, layout, going_on)})
        plain.unlink()
    described = {"mediaType": CONFIG, **layout.put(config)}
    digest = layout.add_manifest(IMAGE_KIND, described, layers)
    return Exported(digest, described["digest"], sum(each["size"] for each in layers), len(layers), tree.hash())


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    # A layer that two images share is a link in what older daemons save.
    found = archive.extractfile(name)
    if found is None:
        raise UserFacingError(f"Docker saved an image without its {name}.", "Build it again with NO_CACHE=1.")
    return found


def _unpacked(source: IO[bytes], target: Path, going_on: Callable[[], None]) -> str:
    # Daemons that keep images in containerd save their layers compressed.
    compressed = source.read(2) == b"\x1f\x8b"
    source.seek(0)
    digest = hashlib.sha256()
    with target.open("wb") as file, ExitStack() as stack:
        stream = stack.enter_context(gzip.open(source)) if compressed else source
        while chunk := stream.read(_CHUNK_BYTES):
            going_on()
            digest.update(chunk)
            file.write(chunk)
    return f"sha256:{digest.hexdigest()}"


def _compressed(plain: Path, layout: Layout, going_on: Callable[[], None]) -> dict[str, Any]:
    part = layout.folder / "layer.tar.gz"
    with (
        plain.open("rb") as source,
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
    ):
        while chunk := source.read(_CHUNK_BYTES):
            going_on()
            packed.write(chunk)
    with part.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    size = part.stat().st_size
    part.rename(layout.blob(digest))
    return {"digest": digest, "size": size}
