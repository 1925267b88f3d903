"""The digests in a stack's settings file, read and exchanged in place: every other byte of the file stays."""

import re
from pathlib import Path
from typing import cast

import yaml

from engine.configuration import KEY
from engine.errors import UserFacingError
from settings.agent_image_names import image_of_key, key_of_image

AGENTS = "agents"
"""Below that place: the agents' images, each by its target, where a release has `agent-<target>`."""
PLACE = ("config", KEY, "images", "digests")
_BY_DIGEST = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")


def _nodes(path: Path, text: str) -> dict[str, yaml.ScalarNode]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UserFacingError(f"{path.name} is not valid YAML: {error}", "Correct it, then run this again.") from None
    for key in PLACE:
        pairs = _pairs(node)
        if key not in pairs:
            raise UserFacingError(
                f"{path.name} has no fleet.images.digests: its stack builds its images, or is not written yet.",
                "Write images: digests: with runtime, sandbox and postgres into it once; then they are promoted.",
            )
        node = pairs[key]
    pairs = _pairs(node)
    agents = {image_of_key(key): value for key, value in _pairs(pairs.get(AGENTS)).items()}
    return {name: value for name, value in {**pairs, **agents}.items() if isinstance(value, yaml.ScalarNode)}


def _pairs(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
    return {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def digests(path: Path) -> dict[str, str]:
    """The images of a settings file by name; raises UserFacingError if it has none."""
    found = {name: str(node.value) for name, node in _nodes(path, path.read_text()).items()}
    for name, value in found.items():
        agent = key_of_image(name)
        check_digest(f"{path.name}: fleet.images.digests.{name if agent is None else f'{AGENTS}.{agent}'}", value)
    return found


def digests_named(path: Path) -> list[str]:
    """The names of the images that a settings file takes by digest."""
    return list(_nodes(path, path.read_text()))


def check_digest(field: str, value: str) -> None:
    """Raise UserFacingError unless the value is an image by digest, and none of the zeros that stand for an example."""
    if not _BY_DIGEST.fullmatch(value) or value.endswith("0" * 64):
        raise UserFacingError(
            f"{field} is {value!r}; allowed is an image by digest, host/name@sha256:<64 hexadecimal digits>.",
            "Give the digest that `make images PUSH=1` printed.",
        )


def exchanged(path: Path, wanted: dict[str, str]) -> str:
    """The file's text with these digests in it.

    An image that it does not name is not added, and one that is not given for it raises UserFacingError: a stack must
    not run half of a release.
    """
    text = path.read_text()
    nodes = _nodes(path, text)
    if missing := sorted(nodes.keys() - wanted.keys()):
        raise UserFacingError(
            f"{path.name} names images that are not promoted: {', '.join(missing)}.",
            f"What is promoted has {', '.join(sorted(wanted)) or 'none'}. Add them there, or remove them here.",
        )
    for name, node in sorted(nodes.items(), key=lambda each: each[1].start_mark.index, reverse=True):
        text = text[: node.start_mark.index] + wanted[name] + text[node.end_mark.index :]
    return text
