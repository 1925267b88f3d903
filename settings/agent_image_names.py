"""An agent's image by its names: `agent-python-hardened` as an image, `python_hardened` as a key below `images`."""

_IMAGE = "agent-"


def key_of_target(target: str) -> str:
    """The key of a target of images/agent, such as `python-hardened`."""
    return target.replace("-", "_")


def key_of_image(image: str) -> str | None:
    """The key of an image; None for one that is no agent's."""
    return key_of_target(image.removeprefix(_IMAGE)) if image.startswith(_IMAGE) else None


def image_of_key(key: str) -> str:
    """The image of a key."""
    return f"{_IMAGE}{key.replace('_', '-')}"
