"""What of an object's live state differs from what the program last asked for: the inputs that a refresh records."""

from collections.abc import Mapping
from typing import Any, cast

_MISSING = object()
# What tells the items of a list apart, by the commonest of the API server's own list map keys.
_KEYS = ("name", "mountPath", "devicePath", "containerPort", "port", "key", "type", "topologyKey", "ip", "uid")


def drifted(inputs: Mapping[str, Any], before: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs, with each value that moved in the cluster since `before` as it is in `live`.

    A value that has not moved keeps the program's own spelling (`1000m` where the server says `1`). What the program
    never set, others may set: it is left out.
    """
    return cast(dict[str, Any], _value(inputs, before, live))


def _value(given: Any, before: Any, live: Any) -> Any:
    if before == live:
        return given
    if isinstance(given, Mapping) and isinstance(live, Mapping):
        wanted, there = cast(Mapping[str, Any], given), cast(Mapping[str, Any], live)
        earlier = cast(Mapping[str, Any], before) if isinstance(before, Mapping) else {}
        result: dict[str, Any] = {}
        for key, item in wanted.items():
            now, then = there.get(key, _MISSING), earlier.get(key, _MISSING)
            if now is _MISSING:
                # Never there: write-only, as stringData is. Gone: drift.
                if then is _MISSING:
                    result[key] = item
            else:
                result[key] = item if then == now else _value(item, None if then is _MISSING else then, now)
        return result
    if isinstance(given, list) and isinstance(live, list):
        earlier_items = cast(list[Any], before) if isinstance(before, list) else []
        return _items(cast(list[Any], given), earlier_items, cast(list[Any], live))
    return live


def _items(given: list[Any], before: list[Any], live: list[Any]) -> list[Any]:
    key = next((key for key in _KEYS if _keyed(given, key) and _keyed(live, key)), None)
    if key is None:
        return live
    now, then = {item[key]: item for item in live}, {item[key]: item for item in before if isinstance(item, Mapping)}
    return [_value(item, then.get(item[key]), now[item[key]]) for item in given if item[key] in now]


def _keyed(items: list[Any], key: str) -> bool:
    """Whether every item is an object that this key names, each by another value."""
    values = [cast(Mapping[str, Any], item).get(key) for item in items if isinstance(item, Mapping)]
    return len(values) == len(items) and None not in values and len({str(value) for value in values}) == len(values)
