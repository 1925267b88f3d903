"""What the user asks of `make images`, checked as a whole before anything is built."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserFacingError
from engine.image_family.matrix import Image, Matrix
from engine.image_family.names import HOST, read_version
from engine.image_family.signing_key import SigningKey, read_key

VARIABLES = ("REGISTRY", "VERSION", "PUSH", "NO_CACHE", "ONLY", "KEY")
_REGISTRY = re.compile(rf"{HOST}(?::[0-9]{{1,5}})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")


@dataclass(frozen=True)
class Request:
    """A request that can be carried out as far as can be told beforehand."""

    images: list[Image]
    registry: str
    """Host and path without a scheme; empty: images have no registry in their names."""
    version: str
    """The tag."""
    push: bool
    no_cache: bool
    key: SigningKey | None

    def repository(self, image: Image) -> str:
        """The image's name with the registry, without a tag."""
        return f"{self.registry}/{image.repository}" if self.registry else image.repository


def read_request(variables: Mapping[str, str], matrix: Matrix) -> Request:
    """Read the variables of the command line; raises UserFacingError for the first that is wrong."""
    registry = variables.get("REGISTRY", "")
    if registry and not _REGISTRY.fullmatch(registry):
        raise UserFacingError(
            f"REGISTRY is {registry!r}; allowed is a host with or without a port and a path, and no scheme.",
            "For example REGISTRY=registry.example.com/team.",
        )
    version = read_version(variables.get("VERSION", ""))
    push = _yes("PUSH", variables)
    if push and not registry:
        raise UserFacingError("PUSH=1 needs REGISTRY: where the images go.", "For example REGISTRY=127.0.0.1:5000.")
    names = [name.strip() for name in variables.get("ONLY", "").split(",") if name.strip()]
    images = matrix.chosen(names)
    key = variables.get("KEY", "")
    return Request(
        images, registry, version, push, _yes("NO_CACHE", variables), read_key(Path(key).expanduser()) if key else None
    )


def _yes(name: str, variables: Mapping[str, str]) -> bool:
    value = variables.get(name, "")
    if value not in ("", "0", "1"):
        raise UserFacingError(f"{name} is {value!r}; allowed are 1 and 0.", f"Give {name}=1, or leave it out.")
    return value == "1"
