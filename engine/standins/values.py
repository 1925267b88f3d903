"""Property values as the engine sends them, in plain Python with marks for secrets and unknowns.

A property tree is made of None, bool, int, float, str, list and dict, plus three marks: `Secret` around a value that
must never be shown, `UNKNOWN` for a value known only after the update, and `Opaque` around a value that is passed
through as it came (assets and archives). The signatures are those of Pulumi's sdk/go/common/resource/properties.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf import struct_pb2

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public marker, not a credential
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWNS = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

type_names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "object"}


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in state and hides in output."""

    value: Any


class Unknown:
    """The type of `UNKNOWN`: a value that a preview cannot know yet."""

    def __repr__(self) -> str:
        """Name it in error messages and test failures."""
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Opaque:
    """An asset or archive, kept exactly as the engine sent it."""

    raw: dict[str, Any]


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The property tree in an engine message; nulls at the top level are left out."""
    return {key: value for key, item in struct.fields.items() if (value := _decode(item)) is not None}


def encode(tree: Mapping[str, Any]) -> struct_pb2.Struct:
    """The engine message for a property tree."""
    struct = struct_pb2.Struct()
    for key, value in tree.items():
        struct.fields[key].CopyFrom(_encode(value))
    return struct


def reveal(tree: Any) -> Any:
    """The same tree without secret marks, for use inside the provider only."""
    if isinstance(tree, Secret):
        return reveal(tree.value)
    if isinstance(tree, Mapping):
        return {key: reveal(value) for key, value in cast(Mapping[str, Any], tree).items()}
    if isinstance(tree, list):
        return [reveal(value) for value in cast(list[Any], tree)]
    return tree


def has_unknown(tree: Any) -> bool:
    """Whether any part of the tree is known only after the update."""
    if isinstance(tree, Secret):
        return has_unknown(tree.value)
    if isinstance(tree, Mapping):
        return any(has_unknown(value) for value in cast(Mapping[str, Any], tree).values())
    if isinstance(tree, list):
        return any(has_unknown(value) for value in cast(list[Any], tree))
    return tree is UNKNOWN


def secret_texts(tree: Any, inside: bool = False) -> set[str]:
    """Every string and number, as text, that a secret mark covers: for keeping them out of messages."""
    if isinstance(tree, Secret):
        return secret_texts(tree.value, inside=True)
    if isinstance(tree, Mapping):
        parts = [secret_texts(value, inside) for value in cast(Mapping[str, Any], tree).values()]
        return set[str]().union(*parts)
    if isinstance(tree, list):
        return set[str]().union(*(secret_texts(value, inside) for value in cast(list[Any], tree)))
    shown = isinstance(tree, str | int | float) and not isinstance(tree, bool)
    return {str(tree)} if inside and shown else set()


def _decode(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            return _decode_object(value.struct_value)
        case _:
            return None


def _decode_object(struct: struct_pb2.Struct) -> Any:
    tree = {key: _decode(item) for key, item in struct.fields.items()}
    match tree.get(_SIGNATURE):
        case None:
            return tree
        case signature if signature == _SECRET:
            return Secret(tree.get("value"))
        case signature if signature == _OUTPUT:
            value = tree.get("value", UNKNOWN)
            return Secret(value) if tree.get("secret") else value
        case _:
            return Opaque(tree)


def _encode(value: Any) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=_UNKNOWN_STRING)
    if isinstance(value, Secret):
        return struct_pb2.Value(struct_value=encode({_SIGNATURE: _SECRET, "value": value.value}))
    if isinstance(value, Opaque):
        return struct_pb2.Value(struct_value=encode(value.raw))
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        return struct_pb2.Value(struct_value=encode(cast(Mapping[str, Any], value)))
    if isinstance(value, Sequence):
        items = [_encode(item) for item in cast(Sequence[Any], value)]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
    raise TypeError(f"a property cannot hold a {type(value).__name__}")
