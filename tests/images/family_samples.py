"""Small images in folders of their own, made by the same code as the family's."""

from pathlib import Path
from typing import Any

from docker import DockerClient
from image_builds import CHECKOUT

from engine.image_family.build import Source
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
