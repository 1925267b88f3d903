"""What the shipped stacks declare, as the engine would send it to the pack."""

import json
import runpy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
import yaml
from analyzer_process import UNKNOWN as MARK
from analyzer_process import Given, secret
from recording import UNKNOWN, Declared, record

from settings import placeholders

PROJECT = Path(__file__).parents[2]
CONFIG = "agent-fleet:fleet"
CONFIGURATION: Mapping[str, Any] = json.loads((PROJECT / "policies" / "fleet.json").read_text(encoding="utf-8"))


@cache
def shipped(stack: str, *, preview: bool = True) -> tuple[Given, ...]:
    """Every resource of a stack, with its file as it is shipped."""
    text = (PROJECT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    return declared(stack, yaml.safe_load(text)["config"][CONFIG], preview=preview)


def declared(stack: str, settings: Any, *, preview: bool = True) -> tuple[Given, ...]:
    """Every resource of a stack with these settings, in a preview or, with everything known, in an update."""
    with pytest.MonkeyPatch.context() as patch:

        def main() -> None:
            pulumi.runtime.set_all_config({CONFIG: json.dumps(settings)}, [])
            # Mocks have no stack, whose end is what an asynchronous entry point delays.
            patch.setattr(pulumi, "run", _nothing)
            patch.setattr(pulumi, "export", _nothing)
            # An update refuses what stands as an example in the shipped files.
            patch.setattr(placeholders, "placeholders", _none)
            runpy.run_path(str(PROJECT / "__main__.py"), run_name="__main__")

        found = record(main, preview=preview, stack=stack)
    return tuple(as_given(each) for each in found.resources)


def _nothing(*given: object) -> None:
    del given


def _none(*given: object) -> list[object]:
    del given
    return []


def as_given(each: Declared) -> Given:
    """A resource as the engine would send it."""
    properties = cast(dict[str, Any], _sent(each.inputs, "", each.secret_paths))
    return Given(each.type, properties, each.name, each.property_urns, each.ignored_changes, each.urn)


def _sent(value: Any, path: str, secrets: frozenset[str]) -> Any:
    """A value with the engine's marks for what is unknown or secret."""
    if value is UNKNOWN:
        found: Any = MARK
    elif isinstance(value, Mapping):
        entries = cast(Mapping[str, Any], value).items()
        found = {name: _sent(inner, f"{path}.{name}" if path else name, secrets) for name, inner in entries}
    elif isinstance(value, list):
        found = [_sent(inner, f"{path}.{i}", secrets) for i, inner in enumerate(cast(list[Any], value))]
    else:
        found = value
    return secret(found) if path in secrets else found
