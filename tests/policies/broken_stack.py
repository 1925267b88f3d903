"""Runs this project's program with changes of what it declares, for the real engine. Not a test: a program of one."""

import fnmatch
import runpy
from pathlib import Path
from typing import Any, cast

import pulumi
from policy_mutations import MUTATIONS, Mutation

_PROJECT = Path(__file__).parents[2]


def of_stack(stack: str) -> list[Mutation]:
    """The changes of one stack, each of another property."""
    return [each for each in MUTATIONS if each.stack == stack]


def run(stack: str) -> None:
    """Declare everything, with every change of the stack made to the first resource that it fits."""
    waiting = of_stack(stack)

    def change(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        mine = [each for each in waiting if each.type == args.type_ and fnmatch.fnmatchcase(args.name, each.name)]
        if not mine:
            return None
        properties: Any = dict(args.props)
        opts = args.opts
        for each in mine:
            waiting.remove(each)
            if each.path:
                properties = _with(properties, each.path.split("/"), each.value)
            else:
                opts.ignore_changes = []
        return pulumi.ResourceTransformResult(properties, opts)

    pulumi.runtime.register_resource_transform(change)
    runpy.run_path(str(_PROJECT / "__main__.py"), run_name="__main__")


def _with(value: Any, path: list[str], new: Any) -> Any:
    """A copy with another value at the path; `...` takes it away."""
    name, *rest = path
    if isinstance(value, list):
        elements = list(cast(list[Any], value))
        elements[int(name)] = _with(elements[int(name)], rest, new) if rest else new
        return elements
    entries = dict(cast(dict[str, Any], value or {}))
    key = name.replace("%", "/")
    if rest:
        entries[key] = _with(entries.get(key), rest, new)
    elif new is ...:
        entries.pop(key, None)
    else:
        entries[key] = new
    return entries
