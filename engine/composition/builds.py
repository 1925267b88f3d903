"""How Compose builds the images: from the family's one list."""

from typing import Any

from engine.composition.variables import BASE
from engine.image_family import matrix

_BUILD_ONLY = ("sandbox", "agent-rust")
"""Images that no service is started from: sandboxd starts the one, and a user the other."""


def build_only() -> tuple[str, ...]:
    """The names of the images that are only built."""
    return _BUILD_ONLY


def build(name: str) -> dict[str, Any]:
    """The section `build` of a service with this image."""
    image = {each.name: each for each in matrix.load().image}[name]
    return {
        "context": f"./{image.context}",
        # Relative to the context.
        **({"dockerfile": image.dockerfile.removeprefix(f"{image.context}/")} if image.dockerfile else {}),
        **({"target": image.target} if image.target else {}),
        # Behind a proxy only the host's own network and name table reach the package registries.
        "network": "host",
        "args": {"BASE": BASE},
    }
