"""Plans as the engine would tell of them: single resources, and whole shipped stacks declared under mocks."""

import json
import runpy
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
import yaml
from recording import UNKNOWN, Declared, record

from engine.cost.planned import Plan

PROJECT = Path(__file__).parent.parent.parent
CONFIG = "agent-fleet:fleet"
LATER = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes in the place of a value that it does not know yet."""


def event(
    kind: str, name: str, inputs: Mapping[str, Any], *, op: str = "create", parent: str = "", custom: bool = True
) -> dict[str, Any]:
    """The engine's event before an operation."""
    urn = f"urn:pulumi:test::agent-fleet::{kind}::{name}"
    state = {"type": kind, "urn": urn, "custom": custom, "parent": parent, "inputs": inputs, "outputs": {}}
    gone = op in ("delete", "delete-replaced")
    return {
        "resourcePreEvent": {
            "metadata": {
                "op": op,
                "urn": urn,
                "type": kind,
                "old": state if gone else None,
                "new": None if gone else state,
            }
        }
    }


def plan(*resources: tuple[str, str, Mapping[str, Any]], region: str = "us-east-1") -> Plan:
    """A plan of these resources: type, name and inputs each."""
    found = Plan()
    found.event(event("pulumi:providers:aws", "aws", {"region": region}))
    for kind, name, inputs in resources:
        found.event(event(kind, name, inputs))
    return found


def of_declared(resources: Iterable[Declared]) -> Plan:
    """A plan of what a program declared under mocks."""
    found = Plan()
    for each in resources:
        # Components have a type of this project's own.
        custom = not each.type.startswith("agent-fleet:")
        inputs = _plain(each.inputs)
        found.event(event(each.type, each.name, inputs, parent=each.parent, custom=custom))
    return found


@cache
def shipped(stack: str) -> Plan:
    """The plan of a stack as it is shipped, in a preview."""
    given = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"][CONFIG]

    def ignore(*args: object) -> None:
        del args

    def main() -> None:
        pulumi.runtime.set_all_config({CONFIG: json.dumps(given)}, [])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pulumi, "export", ignore)
            patch.setattr(pulumi, "run", ignore)
            runpy.run_path(str(PROJECT / "__main__.py"), run_name="__main__")

    return of_declared(record(main, preview=True, stack=stack).resources)


def _plain(value: Any) -> Any:
    if value is UNKNOWN:
        return LATER
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in cast("list[Any]", value)]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
