"""The shipped stack `dev` on the real engine, with the stand-in that keeps state only."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_program import StackProgram

CHECKOUT = Path(__file__).parent.parent.parent
PROGRAM = """
import sys
sys.path.insert(0, %(checkout)r)
from datetime import date
import json
import pulumi
from architectures import vm_ec2
from settings.load import from_mapping
settings = from_mapping(json.loads(%(given)r), stack="test", today=date(2026, 11, 21))
for name, value in vm_ec2.deploy("agent-fleet-probe", settings).outputs.items():
    pulumi.export(name, value)
"""


def program(**changes: Any) -> str:
    """The stack's program with some sections of its settings changed."""
    given = yaml.safe_load((CHECKOUT / "Pulumi.dev.yaml").read_text())["config"]["agent-fleet:fleet"]
    for name, value in changes.items():
        given[name] = {**given[name], **value} if isinstance(value, dict) else value
    return PROGRAM % {"checkout": str(CHECKOUT), "given": json.dumps(given)}


def operations(text: str) -> dict[str, str]:
    """By type and name, what a plan does with each resource that it touches; those of no change are left out."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.replace("│", " ").replace("├─", " ").replace("└─", " ").split()
        if len(words) >= 4 and words[0] in ("+", "-", "~", "+-", "++", "--", "-+") and ":" in words[1]:
            found[f"{words[1].rpartition(':')[2]} {words[2]}"] = words[0]
    return found


@pytest.mark.timeout(300)
def test_the_stack_lives_on_the_engine_and_a_change_touches_only_what_it_must(stack: StackProgram) -> None:
    """Prevents a second run that changes something, and a new image that takes the data with it."""
    stack.write(program())
    outcome = stack.up().succeeded()
    created = outcome.changes["created"]
    assert "is not in the stand-in's replacement table" not in outcome.text
    outputs = stack.outputs()
    assert outputs["url"] == "https://fleet.example.com"
    assert outputs["load_balancer"].endswith(".elb.amazonaws.com")
    assert stack.preview().succeeded().changes == {"unchanged": created}

    stack.write(program(host={"instance_type": "m7i.xlarge", "data_gibibytes": 60}))
    assert stack.preview().succeeded().changes == {"to update": 2, "unchanged": created - 2}

    # Another image: the instance, what attaches the disk to it and what registers it. Neither disk nor database.
    digest = "registry.example.com/agent-fleet/runtime@sha256:" + "1" * 64
    images = yaml.safe_load((CHECKOUT / "Pulumi.dev.yaml").read_text())["config"]["agent-fleet:fleet"]["images"]
    stack.write(program(images={"digests": {**images["digests"], "runtime": digest}}))
    replaced = stack.up().succeeded()
    assert replaced.changes == {"replaced": 3, "unchanged": created - 3}
    assert "Volume agent-fleet-probe-data" not in operations(replaced.text)
