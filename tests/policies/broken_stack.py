"""This project's program with one change of what it declares, for the real engine. Not a test: a program of one."""

import fnmatch
import runpy
from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
from policy_mutations import CHANGES, Addition, Mutation

_PROJECT = Path(__file__).parents[2]
CHANGED = Path("changed.txt")
"""Where the program says which resource it has changed, by its name."""


def run(rule: int) -> None:
    """Declare everything, with the one change that breaks a rule."""
    change = next(each for each in CHANGES if each.rule == rule)
    if isinstance(change, Addition):
        _add(change)
    else:
        _mutate(change)
    runpy.run_path(str(_PROJECT / "__main__.py"), run_name="__main__")


def _mutate(mutation: Mutation) -> None:
    """Change the first resource that it fits."""
    done = False

    def change(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        nonlocal done
        if done or mutation.type != args.type_ or not fnmatch.fnmatchcase(args.name, mutation.name):
            return None
        done = True
        CHANGED.write_text(args.name, encoding="utf-8")
        if not mutation.path:
            args.opts.ignore_changes = []
            return pulumi.ResourceTransformResult(args.props, args.opts)
        properties = _with(dict(args.props), mutation.path.split("/"), mutation.value)
        return pulumi.ResourceTransformResult(properties, args.opts)

    pulumi.runtime.register_resource_transform(change)


def _add(addition: Addition) -> None:
    new = addition.new()
    CHANGED.write_text(new[addition.which].name, encoding="utf-8")
    providers = {
        "aws": aws.Provider("added", region="eu-west-1"),
        "kubernetes": k8s.Provider("added", kubeconfig="{}"),
    }
    for each in new:
        pulumi.CustomResource(
            each.type,
            each.name,
            each.properties,
            pulumi.ResourceOptions(provider=providers[each.type.partition(":")[0]]),
        )


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
