"""Checks a resource's inputs against the SDK's own types."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from engine.standins.sdk_annotations import Shape, ShapeKind
from engine.standins.sdk_types import Property, ResourceType
from engine.standins.values import UNKNOWN, Opaque, Secret, type_names


@dataclass(frozen=True)
class Failure:
    """An input that is wrong: its property path and why, as the user reads it."""

    path: str
    reason: str


def check(inputs: Mapping[str, Any], resource: ResourceType) -> list[Failure]:
    """Every input that the SDK's types do not allow; unknown values pass."""
    checker = _Checker(resource)
    checker.properties("", inputs, resource.inputs, secret=False)
    return checker.failures


def unknown_property(given: str, known: Mapping[str, Property]) -> str:
    """Why a property name is refused, with the nearest one that exists."""
    by_name = {name: name for name in known} | {item.python_name: name for name, item in known.items()}
    near = difflib.get_close_matches(given, by_name, n=1, cutoff=0.6)
    if not near:
        return f"there is no such property; allowed: {', '.join(sorted(known)) or 'none'}."
    wire = by_name[near[0]]
    python = known[wire].python_name
    spelling = f"{wire!r}" if python == wire else f"{wire!r} ({python} in Python)"
    return f"there is no such property; did you mean {spelling}?"


class _Checker:
    """One pass over one resource's inputs; `secret` says that the value must not be shown in a message."""

    def __init__(self, resource: ResourceType) -> None:
        self.resource = resource
        self.failures: list[Failure] = []

    def properties(self, base: str, given: Mapping[str, Any], known: Mapping[str, Property], secret: bool) -> None:
        for name, value in given.items():
            path = f"{base}.{name}" if base else name
            if name not in known:
                self.failures.append(Failure(path, unknown_property(name, known)))
            elif value is not None:
                self.value(path, value, known[name].shape, secret)
        for name, item in known.items():
            if not item.optional and given.get(name) is None:
                path = f"{base}.{name}" if base else name
                reason = f"is missing and required: {_describe(item.shape, self.resource)}."
                self.failures.append(Failure(path, reason))

    def value(self, path: str, value: Any, shape: Shape, secret: bool) -> None:
        while isinstance(value, Secret):
            secret, value = True, value.value
        if value is UNKNOWN or value is None or shape.kind is ShapeKind.ANY:
            return
        if shape.kind is ShapeKind.LIST and isinstance(value, list):
            for index, item in enumerate(cast(list[Any], value)):
                self.value(f"{path}[{index}]", item, shape.parts[0], secret)
        elif shape.kind is ShapeKind.MAP and isinstance(value, dict):
            for key, item in cast(dict[str, Any], value).items():
                self.value(f'{path}["{key}"]', item, shape.parts[0], secret)
        elif shape.kind is ShapeKind.NAMED:
            self.named(path, value, shape, secret)
        elif shape.kind is ShapeKind.UNION:
            self.union(path, value, shape, secret)
        elif not _fits(value, shape):
            self.refuse(path, value, shape, secret)

    def named(self, path: str, value: Any, shape: Shape, secret: bool) -> None:
        nested = self.resource.nested(shape.name)
        if nested is not None and isinstance(value, dict):
            self.properties(path, cast(dict[str, Any], value), nested.properties, secret)
        elif nested is not None or value not in (self.resource.enum_values(shape.name) or (value,)):
            self.refuse(path, value, shape, secret)

    def union(self, path: str, value: Any, shape: Shape, secret: bool) -> None:
        attempts: list[list[Failure]] = []
        for part in shape.parts:
            attempt = _Checker(self.resource)
            attempt.value(path, value, part, secret)
            if not attempt.failures:
                return
            attempts.append(attempt.failures)
        # The member that got furthest into the value is the one that was meant.
        deepest = max(attempts, key=lambda failures: max(len(failure.path) for failure in failures))
        if all(failure.path == path for failure in deepest):
            self.refuse(path, value, shape, secret)
        else:
            self.failures += deepest

    def refuse(self, path: str, value: Any, shape: Shape, secret: bool) -> None:
        kind = "asset" if isinstance(value, Opaque) else type_names.get(type(value), type(value).__name__)
        shown = "" if secret or not isinstance(value, str | int | float) else f" {value!r}"
        reason = f"must be {_describe(shape, self.resource)}, not the {kind}{shown}."
        self.failures.append(Failure(path, reason))


def _fits(value: Any, shape: Shape) -> bool:
    if shape.kind is ShapeKind.ASSET:
        return isinstance(value, Opaque)
    if shape.kind is ShapeKind.LITERAL:
        return value == shape.name
    match shape.name:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return False


def _describe(shape: Shape, resource: ResourceType) -> str:
    match shape.kind:
        case ShapeKind.SCALAR:
            return f"{'an' if shape.name[0] in 'aeiou' else 'a'} {shape.name}"
        case ShapeKind.LIST:
            return f"a list, each item {_describe(shape.parts[0], resource)}"
        case ShapeKind.MAP:
            return f"a map of strings to values, each {_describe(shape.parts[0], resource)}"
        case ShapeKind.ASSET:
            return f"a pulumi.{shape.name}"
        case ShapeKind.LITERAL:
            return repr(shape.name)
        case ShapeKind.UNION:
            return " or ".join(_describe(part, resource) for part in shape.parts)
        case ShapeKind.NAMED:
            allowed = resource.enum_values(shape.name)
            if allowed:
                return f"one of {', '.join(allowed)}"
            nested = resource.nested(shape.name)
            return f"an object with {', '.join(nested.properties)}" if nested else "any value"
        case ShapeKind.ANY:
            return "any value"
