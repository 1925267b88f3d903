"""Pulumi's property values as AWS's API takes them, by the API's own model (botocore): names, nesting, types."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

_PAIRS = ({"key", "value"}, {"tagkey", "tagvalue"}, {"name", "value"})
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")


def plain(name: str) -> str:
    """A name without case and punctuation: `vpcZoneIdentifier` and `VPCZoneIdentifier` are one."""
    return _NOT_IN_NAMES.sub("", name.lower())


def member(shape: Any, name: str, *, nested: bool = False) -> str | None:
    """The member of a structure that a property means: of its name, or its singular or plural.

    Inside a structure `id` also means `LaunchTemplateId`, where no other member ends so.
    """
    wanted = plain(name)
    names = {plain(each): each for each in shape.members}
    for candidate in (wanted, f"{wanted}s", wanted.removesuffix("s"), f"{wanted}list", f"{wanted}set"):
        if candidate in names:
            return names[candidate]
    if wanted.endswith("ies") and f"{wanted[:-3]}y" in names:
        return names[f"{wanted[:-3]}y"]
    if nested:
        ending = [each for key, each in names.items() if key.endswith(wanted)]
        return ending[0] if len(ending) == 1 else None
    return None


def convert(value: Any, shape: Any) -> Any:
    """The value as the API's shape wants it."""
    match shape.type_name:
        case "structure":
            return _structure(value, shape)
        case "list":
            return _list(value, shape)
        case "map":
            pairs = cast(Mapping[str, Any], value).items()
            return {key: convert(item, shape.value) for key, item in pairs if item is not None}
        case "string":
            return text(value)
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "blob":
            return value.encode() if isinstance(value, str) else value
        case _:
            return value


def pairs(tags: Mapping[str, Any], shape: Any) -> Any:
    """Tags in the form that a shape has them: a map, or a list of keys and values under whatever names."""
    if shape.type_name == "map":
        return {key: str(value) for key, value in tags.items()}
    names = list(shape.member.members)
    key_name = next(name for name in names if plain(name) in ("key", "tagkey", "name"))
    value_name = next(name for name in names if plain(name) in ("value", "tagvalue"))
    return [{key_name: key, value_name: str(value)} for key, value in tags.items()]


def _structure(value: Any, shape: Any) -> Any:
    if isinstance(value, list):
        # What can be given once is a list of one in Terraform's schemas.
        given = cast(list[Any], value)
        value = given[0] if given else {}
    if not isinstance(value, Mapping):
        return {"Value": convert(value, shape.members["Value"])} if set(shape.members) == {"Value"} else value
    result: dict[str, Any] = {}
    for name, item in cast(Mapping[str, Any], value).items():
        found = member(shape, name, nested=True) if item is not None and not name.startswith("__") else None
        if found is not None:
            result[found] = convert(item, shape.members[found])
    return result


def _list(value: Any, shape: Any) -> Any:
    if isinstance(value, Mapping):
        content = cast(Mapping[str, Any], value)
        names = {plain(name) for name in getattr(shape.member, "members", {})}
        if any(names >= both for both in _PAIRS):
            return pairs(content, shape)
        return [convert(content, shape.member)]
    items = cast(list[Any], value if isinstance(value, list) else [value])
    return [convert(item, shape.member) for item in items if item is not None]


def text(value: Any) -> str:
    """A string parameter: lists are joined by commas, objects are JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(str(item) for item in cast(list[Any], value))
    return json.dumps(value) if isinstance(value, Mapping) else str(value)
