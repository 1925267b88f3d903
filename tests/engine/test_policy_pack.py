"""The policy pack in previews of the real engine."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from broken_stack import of_stack
from policy_cases import BY_NUMBER
from stack_program import StackProgram

PROJECT = Path(__file__).parents[2]
PACK = PROJECT / "policies"
CONFIGURED = ("--policy-pack", str(PACK), "--policy-pack-config", str(PACK / "fleet.json"))
LOGS = """
import pulumi, pulumi_aws as aws, pulumi_random as random
there = pulumi.ResourceOptions(provider=aws.Provider("there", region="eu-central-1"))
days = random.RandomBytes("days", length=4).hex.apply(len) if %(unknown)r else None
aws.cloudwatch.LogGroup("logs", retention_in_days=%(days)s, opts=there)
"""
SHIPPED = """
import sys
sys.path[:0] = %(folders)r
%(run)s
"""
# What another resource lacks is reported at that one.
LACKING = {35: "FileSystem", 58: "Namespace", 59: "Namespace"}


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


def test_a_preview_fails_on_what_breaks_a_rule_and_passes_without(stack: StackProgram) -> None:
    """The pack would start, and nothing that it says would count."""
    stack.write(LOGS % {"unknown": False, "days": "None"})
    code, found = violations(stack)
    assert code != 0
    assert [(each["policyName"], each["enforcementLevel"]) for each in found] == [("logs-retention", "mandatory")]
    assert found[0]["resourceUrn"].endswith("aws:cloudwatch/logGroup:LogGroup::logs")
    stack.write(LOGS % {"unknown": False, "days": "30"})
    assert violations(stack) == (0, [])


def test_a_preview_fails_on_what_it_cannot_judge_unless_that_is_listed(stack: StackProgram) -> None:
    """With Pulumi's own SDK for policies this preview passes, with an advice."""
    stack.write(LOGS % {"unknown": True, "days": "days"})
    code, found = violations(stack)
    assert code != 0
    assert [(each["policyName"], each["enforcementLevel"]) for each in found] == [("not-judged", "mandatory")]
    assert "retentionInDays is unknown in the preview" in found[0]["message"]


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["prod", "staging", "dev"])
def test_a_shipped_stack_passes_on_the_engine(stack: StackProgram, name: str) -> None:
    """Under mocks other values are unknown than with providers."""
    shipped(stack, name, f"import runpy; runpy.run_path({str(PROJECT / '__main__.py')!r}, run_name='__main__')")
    code, found = violations(stack)
    assert [each for each in found if each["enforcementLevel"] == "mandatory"] == []
    assert code == 0


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["prod", "staging", "dev"])
def test_every_change_of_a_shipped_stack_is_seen_on_the_engine(stack: StackProgram, name: str) -> None:
    """All at once, each by its rule and at its resource, and nothing else."""
    shipped(stack, name, f"from broken_stack import run; run({name!r})")
    code, found = violations(stack)
    said = {(each["policyName"], each["resourceUrn"]) for each in found if each["enforcementLevel"] == "mandatory"}
    assert code != 0
    wanted = {BY_NUMBER[number].id for each in of_stack(name) for number in (each.rule, *each.also)}
    assert {rule for rule, _ in said} == wanted
    for mutation in of_stack(name):
        type_name = LACKING.get(mutation.rule, mutation.type.rpartition(":")[2])
        at = {urn for rule, urn in said if rule == BY_NUMBER[mutation.rule].id}
        assert {urn.split("::")[-2].rpartition(":")[2] for urn in at} == {type_name}, (mutation, at)
