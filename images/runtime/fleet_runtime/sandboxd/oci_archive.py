"""An image in one tar file: what `docker save` writes, or an OCI image layout.

What it holds is checked: an image's ID is the SHA-256 of its configuration, which names the SHA-256 of every layer.
"""

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Sequence
from typing import IO, Any, cast

from fleet_runtime.sandboxd.oci_layers import Root

_JSON_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class ImageError(Exception):
    """An image cannot be unpacked or used; the text says what to do."""


class Archive:
    """One image in an opened tar file; raises ImageError, LookupError or ValueError for what is none."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        """Read and check its manifest and configuration."""
        self._archive = archive
        self._members = {os.path.normpath(member.name): member for member in archive.getmembers() if member.isreg()}
        manifests: list[str] = []
        # Newer versions of Docker write both, and of these the layout says more.
        if "index.json" in self._members:
            manifests, config, self._layers = self._layout()
        elif "manifest.json" in self._members:
            found = _only(self._json("manifest.json"), "images")
            config, self._layers = str(found["Config"]), [str(layer) for layer in found["Layers"]]
        else:
            raise ImageError("it has neither a manifest.json (docker save) nor an index.json (OCI layout)")
        text = self._read(config)
        self.image = hashlib.sha256(text).hexdigest()
        if self.image != os.path.basename(config).removesuffix(".json"):  # noqa: PTH119 - a name in the archive
            raise ImageError(f"its configuration {config} does not have the digest that its name says")
        said = cast("dict[str, Any]", json.loads(text))
        self._digests = [str(digest).removeprefix("sha256:") for digest in said["rootfs"]["diff_ids"]]
        if len(self._digests) != len(self._layers):
            raise ImageError(f"it has {len(self._layers)} layers, and its configuration names {len(self._digests)}")
        self.said = {"environment": said["config"].get("Env") or [], "manifests": manifests}

    def apply(self, root: Root) -> None:
        """Put the layers into a folder, each checked against its digest."""
        for name, digest in zip(self._layers, self._digests, strict=True):
            layer = self._open(name)
            packed = layer.peek(4)
            if packed.startswith(_ZSTD):
                raise ImageError(f"its layer {name} is compressed by zstd, which is not read: use docker save")
            plain = gzip.GzipFile(fileobj=layer) if packed.startswith(_GZIP) else layer
            hashing = _Hashing(cast("IO[bytes]", plain))
            root.apply(cast("IO[bytes]", hashing))
            if hashing.finish() != digest:
                raise ImageError(f"its layer {name} does not have the digest that its configuration says")

    def _layout(self) -> tuple[list[str], str, list[str]]:
        """Return the digests that lead to the image, its configuration and its layers."""
        digests = [_hex(_only(self._json("index.json")["manifests"], "images"))]
        said = self._blob(digests[0])
        if "manifests" in said:
            # Beside the images stand what was said of them (attestations), for no platform.
            digests.append(_hex(_only([each for each in said["manifests"] if _is_image(each)], "platforms")))
            said = self._blob(digests[-1])
        return digests, _path(_hex(said["config"])), [_path(_hex(each)) for each in said["layers"]]

    def _blob(self, digest: str) -> dict[str, Any]:
        text = self._read(_path(digest))
        if hashlib.sha256(text).hexdigest() != digest:
            raise ImageError(f"its blob sha256:{digest} has another digest")
        return json.loads(text)

    def _json(self, name: str) -> Any:
        return json.loads(self._read(name))

    def _read(self, name: str) -> bytes:
        with self._open(name) as file:
            return file.read(_JSON_BYTES)

    def _open(self, name: str) -> Any:
        found = self._archive.extractfile(self._members[os.path.normpath(name)])
        if found is None:
            raise ImageError(f"its {name} is no file")
        return found


class _Hashing:
    """Passes a stream on and computes its SHA-256."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def finish(self) -> str:
        """Return the digest of the whole; who reads the archive stops at its end mark."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._hash.hexdigest()


def _only(found: Sequence[Any], what: str) -> Any:
    if len(found) != 1:
        raise ImageError(f"it holds {len(found)} {what}, and must hold one")
    return found[0]


def _is_image(described: dict[str, Any]) -> bool:
    return described.get("platform", {}).get("os", "unknown") != "unknown"


def _hex(described: dict[str, Any]) -> str:
    kind, _, digest = str(described["digest"]).partition(":")
    if kind != "sha256" or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ImageError(f"its digest {described['digest']!r} is not a SHA-256")
    return digest


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest}"
