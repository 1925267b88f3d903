"""Values that may be outputs, computed with at once where they are known already.

An output costs the program several tasks of its event loop: a pool's settings, all of them plain, took as long as a
third of its resources when each number was made an output first.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import pulumi

Given = TypeVar("Given")
Found = TypeVar("Found")


def applied(value: pulumi.Input[Given], function: Callable[[Given], Found]) -> pulumi.Input[Found]:
    """What the function makes of the value: at once, or an output where some part of the value is one."""
    if _is_plain(value):
        return function(cast("Given", value))
    return pulumi.Output.from_input(value).apply(function)


def json_text(value: pulumi.Input[Any]) -> pulumi.Input[str]:
    """The value as JSON: as `json.dumps` writes it, or an output of that where some part of the value is one."""
    if _is_plain(value):
        return json.dumps(value)
    outputs = list(_outputs(value))

    def filled(found: list[Any]) -> str:
        return json.dumps(_filled(value, iter(found)))

    return pulumi.Output.all(*outputs).apply(filled)


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(each) for each in cast("dict[Any, Any]", value).values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in cast("list[Any]", value))
    return value is None or isinstance(value, (str, int, float))


def _outputs(value: object) -> Iterator[object]:
    """Everything in the value that is not known yet, in the order in which it stands there."""
    if isinstance(value, dict):
        for each in cast("dict[Any, Any]", value).values():
            yield from _outputs(each)
    elif isinstance(value, (list, tuple)):
        for each in cast("list[Any]", value):
            yield from _outputs(each)
    elif not _is_plain(value):
        yield value


def _filled(value: Any, found: Iterator[Any]) -> Any:
    """The value with what was found in the places of its outputs."""
    if isinstance(value, dict):
        return {key: _filled(each, found) for key, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_filled(each, found) for each in cast("list[Any]", value)]
    return value if _is_plain(value) else next(found)
