"""Previews of shipped stacks on the real engine, under the policy pack."""

import json
from pathlib import Path
from typing import Any

import yaml
from stack_program import StackProgram

PROJECT = Path(__file__).parents[2]
PACK = PROJECT / "policies"
CONFIGURED = ("--policy-pack", str(PACK), "--policy-pack-config", str(PACK / "fleet.json"))
SHIPPED = """
import sys
sys.path[:0] = %(folders)r
%(run)s
"""


def violations(stack: StackProgram, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """A preview's exit code, and what policies said in it."""
    stack.environment["PULUMI_ENABLE_STREAMING_JSON_PREVIEW"] = "true"
    outcome = stack.preview("--json", *CONFIGURED, *arguments)
    found: list[dict[str, Any]] = []
    for line in outcome.text.splitlines():
        if line.startswith("{") and '"policyEvent"' in line:
            found.append(json.loads(line)["policyEvent"])
    assert "can't run policy" not in outcome.text, outcome.text
    return outcome.code, found


def shipped(stack: StackProgram, name: str, run: str) -> None:
    """Make the stack that of a shipped settings file, and its name too: exceptions name stacks."""
    stack.environment["PULUMI_STACK"] = name
    stack.run("stack", "init", name).succeeded()
    folders = [str(PROJECT / each) for each in (".", "policies", "tests/policies", "tests/unit")]
    stack.write(SHIPPED % {"folders": folders, "run": run})
    file = stack.folder / f"Pulumi.{name}.yaml"
    given = yaml.safe_load((PROJECT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))
    kept = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(yaml.safe_dump({**kept, **given}))
