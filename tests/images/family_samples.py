"""Images made by the same code as the family's, under names of their own; small ones in folders of their own."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker_objects import import_tiny_image
from image_builds import CHECKOUT

from engine.image_family.build import Source, build
from engine.image_family.matrix import Image
from engine.image_family.production import Production
from engine.image_family.request import Request
from engine.image_family.signing_key import SigningKey

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sample(name: str, **values: Any) -> Image:
    """An entry of a matrix, built from the folder `context`."""
    entry: dict[str, Any] = {
        "name": name,
        "context": "context",
        "platforms": ["linux/amd64", "linux/arm64"],
        "megabytes": 100,
        "compressed_megabytes": 100,
        "uid": 1001,
        "probe": ["sh"],
        "shell": True,
        "no_health": "it only lies there",
    }
    return Image.model_validate(entry | values)


def production(
    client: DockerClient,
    folder: Path,
    images: list[Image],
    *,
    key: SigningKey | None = None,
    version: str = "test",
    no_cache: bool = False,
    checkout: Path = CHECKOUT,
    registry: str = "",
    lines: list[str] | None = None,
) -> Production:
    """A run that writes to `folder`; what it says goes to `lines`."""
    return Production(
        Request(images, registry, version, push=bool(registry), no_cache=no_cache, key=key),
        client,
        Source(COMMIT, changed=False),
        ("agent-fleet/base:bookworm-1", "sha256:" + "0" * 64),
        (lines if lines is not None else []).append,
        folder,
        checkout,
    )


@contextmanager
def built_image(
    client: DockerClient, folder: Path, image: Image, *, no_cache: bool = False, checkout: Path = CHECKOUT
) -> Generator[str]:
    """The ID of an image built as `make images` builds it, which is removed afterwards."""
    version = f"test-{uuid.uuid4().hex[:8]}"
    run = production(client, folder, [image], version=version, no_cache=no_cache, checkout=checkout)
    name = f"{image.repository}:{version}"
    try:
        yield build(image, run.request, run.runner, run.report, checkout).image_id
    finally:
        if client.images.list(name):
            client.images.remove(name, force=True)


@contextmanager
def small_signed(
    client: DockerClient, folder: Path, key: SigningKey, version: str, registry: str = ""
) -> Generator[tuple[Production, Image]]:
    """A run that can make a small image signed with this key, and that image; both are removed afterwards.

    It passes not every step of the verification.
    """
    tag = f"family-small-{uuid.uuid4().hex[:10]}:1"
    import_tiny_image(tag)
    (folder / "context").mkdir()
    (folder / "context" / "Dockerfile").write_text(
        f"FROM {tag}\nRUN echo 'user:x:1001:1001::/:/bin/sh' >> /etc/passwd\nUSER 1001:1001\n"
    )
    image = sample(f"small-{uuid.uuid4().hex[:8]}")
    try:
        yield (
            production(client, folder / "dist", [image], key=key, checkout=folder, registry=registry, version=version),
            image,
        )
    finally:
        client.images.remove(f"{image.repository}:{version}", force=True)
        client.images.remove(tag, force=True)
