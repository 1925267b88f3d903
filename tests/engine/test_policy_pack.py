"""The policy pack in previews of the real engine."""

import pytest
from policed_previews import PROJECT, shipped, violations
from stack_program import StackProgram

LOGS = """
import pulumi, pulumi_aws as aws, pulumi_random as random
there = pulumi.ResourceOptions(provider=aws.Provider("there", region="eu-central-1"))
days = random.RandomBytes("days", length=4).hex.apply(len) if %(unknown)r else None
aws.cloudwatch.LogGroup("logs", retention_in_days=%(days)s, opts=there)
"""


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
