"""Differences between two property trees, by property path as the engine writes them (`ports[0].external`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from engine.standins.values import Opaque, has_unknown, reveal


class Kind(Enum):
    """How a property differs."""

    ADDED = "added"
    DELETED = "deleted"
    CHANGED = "changed"


@dataclass(frozen=True)
class Difference:
    """One property that differs."""

    path: str
    kind: Kind


def compare(
    old: Mapping[str, Any], new: Mapping[str, Any], *, unordered: frozenset[str] = frozenset()
) -> list[Difference]:
    """Every property that differs; lists named in `unordered` are compared as sets. Unknown counts as changed."""
    comparison = _Comparison(unordered)
    for key in sorted({*old, *new}):
        if not key.startswith("__"):
            comparison.value(key, key, old.get(key), new.get(key))
    return comparison.found


class _Comparison:
    """One comparison; `plain` is the path without list positions, as `unordered` has it."""

    def __init__(self, unordered: frozenset[str]) -> None:
        self.unordered = unordered
        self.found: list[Difference] = []

    def value(self, path: str, plain: str, old: Any, new: Any) -> None:
        old, new = reveal(old), reveal(new)
        if old is None and new is None:
            return
        if old is None:
            self.found.append(Difference(path, Kind.ADDED))
        elif new is None:
            self.found.append(Difference(path, Kind.DELETED))
        elif isinstance(old, dict) and isinstance(new, dict):
            left, right = cast(dict[str, Any], old), cast(dict[str, Any], new)
            for key in sorted({*left, *right}):
                self.value(f"{path}{_step(key)}", f"{plain}.{key}", left.get(key), right.get(key))
        elif isinstance(old, list) and isinstance(new, list):
            self.items(path, plain, cast(list[Any], old), cast(list[Any], new))
        elif has_unknown(new) or has_unknown(old) or not _equal(old, new):
            self.found.append(Difference(path, Kind.CHANGED))

    def items(self, path: str, plain: str, old: list[Any], new: list[Any]) -> None:
        if plain in self.unordered:
            if has_unknown(new) or sorted(map(_text, old)) != sorted(map(_text, new)):
                self.found.append(Difference(path, Kind.CHANGED))
            return
        for index in range(max(len(old), len(new))):
            step = f"{path}[{index}]"
            if index >= len(old):
                self.found.append(Difference(step, Kind.ADDED))
            elif index >= len(new):
                self.found.append(Difference(step, Kind.DELETED))
            else:
                self.value(step, plain, old[index], new[index])


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, Opaque) and isinstance(new, Opaque):
        return old.raw == new.raw
    # True == 1 in Python, and not in anything that a provider configures.
    return isinstance(old, bool) == isinstance(new, bool) and old == new


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _step(key: str) -> str:
    return f".{key}" if key.isidentifier() else f'["{key}"]'
