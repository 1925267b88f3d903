"""Reads properties as the engine sends them to an analyzer, once for all rules.

The SDK for policies (pulumi-policy 1.21) reads a resource anew for each rule, 0.2 ms each time, and hands out proxies
that raise on what is unknown: 64 rules would cost 14 ms a resource, and a rule that stumbles is reported as advisory.
"""

from typing import Any

from agent_fleet_policies.value import UNKNOWN, Secret

# sdk/go/common/resource/plugin/rpc.go: what stands for a bool, number, string, array, asset, archive, object.
_UNKNOWNS = (
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
)
# sdk/go/common/resource/sig: how a map says that it is something else.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a signature
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
# A text of one of them alone is 36 long; most texts are shorter than that, and need no look.
_SHORTEST = min(len(each) for each in _UNKNOWNS)


def plain(struct: Any) -> dict[str, Any]:
    """A protobuf Struct as plain data, with UNKNOWN and Secret where the engine says so."""
    return {name: _value(value) for name, value in struct.fields.items()}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if len(text) >= _SHORTEST and any(mark in text for mark in _UNKNOWNS) else text
    if kind == "struct_value":
        fields = value.struct_value.fields
        if _SIGNATURE in fields:
            return _marked(fields)
        if any(len(name) >= _SHORTEST and mark in name for name in fields for mark in _UNKNOWNS):
            return UNKNOWN
        return {name: _value(inner) for name, inner in fields.items()}
    if kind == "list_value":
        return [_value(inner) for inner in value.list_value.values]
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        return value.number_value
    return None


def _marked(fields: Any) -> Any:
    """A secret, an output, or something else (an asset, another resource) that no rule looks into."""
    signature = fields[_SIGNATURE].string_value
    if signature == _SECRET:
        return Secret(_value(fields["value"]))
    if signature == _OUTPUT:
        inner = _value(fields["value"]) if "value" in fields else UNKNOWN
        return Secret(inner) if "secret" in fields and fields["secret"].bool_value else inner
    return {name: _value(inner) for name, inner in fields.items() if name != _SIGNATURE}
