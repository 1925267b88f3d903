"""How Compose builds the images: from the family's one list, and the MCP proxy's, which only compositions have."""

from typing import Any

from engine.composition.variables import BASE
from engine.image_family import matrix

_AGENT = "agent"
_BUILD_ONLY = ("sandbox", "agent-rust")
"""Images that no service is started from: sandboxd starts the one, and a user the other."""


def build_only() -> tuple[str, ...]:
    """The names of the images that are only built."""
    return _BUILD_ONLY


def build(name: str) -> dict[str, Any]:
    """The section `build` of a service with this image."""
    context, dockerfile, target = _source(name)
    return {
        "context": f"./{context}",
        **({"dockerfile": dockerfile} if dockerfile else {}),
        **({"target": target} if target else {}),
        # Behind a proxy only the host's own network and name table reach the package registries.
        "network": "host",
        "args": {"BASE": BASE},
    }


def _source(name: str) -> tuple[str, str, str]:
    """The context, the Dockerfile relative to it where it is another than its own, and the stage."""
    for image in matrix.load().image:
        if image.name == name:
            dockerfile = image.dockerfile.removeprefix(f"{image.context}/") if image.dockerfile else ""
            return image.context, dockerfile, image.target
    folder, _, target = name.partition("-")
    if folder == _AGENT:
        return "images", f"{_AGENT}/Dockerfile", target
    return f"images/{name}", "", ""
