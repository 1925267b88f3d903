"""Writes the bucket's name into a stack's settings file; every other byte of the file stays."""

from pathlib import Path
from typing import cast

import yaml

from engine.configuration import KEY
from engine.errors import UserFacingError


def with_bucket(path: Path, bucket: str) -> str:
    """The file's text with `fleet.aws.state_bucket`; unchanged where it is there already."""
    text = path.read_text()
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in ("config", KEY):
        node = _child(node, key)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        raise UserFacingError(
            f"{path.name} has no place for aws: state_bucket: its {KEY} is no block of lines.",
            f"Write `aws: {{state_bucket: {bucket}}}` below {KEY} and run the command again.",
        )
    section = _child(node, "aws")
    if section is None:
        indent = node.start_mark.column
        lines = f"{' ' * indent}aws:\n{' ' * indent}  state_bucket: {bucket}\n"
        return f"{text.rstrip(chr(10))}\n{lines}" if _is_last(node, text) else _before(text, node, lines)
    if _child(section, "state_bucket") is not None:
        return text
    if not isinstance(section, yaml.MappingNode) or not section.value:
        raise UserFacingError(
            f"{path.name} has an `aws` that is no block of lines.",
            f"Write state_bucket: {bucket} into it and run the command again.",
        )
    at = section.value[0][0].start_mark
    if section.flow_style:
        return f"{text[: at.index]}state_bucket: {bucket}, {text[at.index :]}"
    return f"{text[: at.index]}state_bucket: {bucket}\n{' ' * at.column}{text[at.index :]}"


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    for name, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        if isinstance(name, yaml.ScalarNode) and name.value == key:
            return value
    return None


def _is_last(node: yaml.MappingNode, text: str) -> bool:
    return not text[node.end_mark.index :].strip()


def _before(text: str, node: yaml.MappingNode, lines: str) -> str:
    """The lines before the first key of the section, whose place is known whatever follows it."""
    at = node.value[0][0].start_mark
    return f"{text[: at.index - at.column]}{lines}{text[at.index - at.column :]}"
