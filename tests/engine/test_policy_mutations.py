"""Every rule on the real engine: a shipped stack with one change, which the rule reports and no other one."""

from collections.abc import Callable

import pytest
from broken_stack import CHANGED
from mutation_table import described, place
from policed_previews import shipped, violations
from policy_cases import BY_NUMBER
from policy_mutations import CHANGES, Addition, Mutation
from stack_program import StackProgram

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: BY_NUMBER[each.rule].id)
def test_a_rule_reports_the_one_change_that_breaks_it_and_no_other_rule_does(
    stack: StackProgram, change: Mutation | Addition, record_property: Callable[[str, object], None]
) -> None:
    """Under mocks, other values are unknown and other properties set than with the engine and its providers."""
    shipped(stack, change.stack, f"from broken_stack import run; run({change.rule})")
    code, found = violations(stack)
    said = {(each["policyName"], each["resourceUrn"]) for each in found if each["enforcementLevel"] == "mandatory"}
    also = change.also if isinstance(change, Mutation) else ()
    assert code != 0
    assert {rule for rule, _ in said} == {BY_NUMBER[number].id for number in (change.rule, *also)}, said
    at = {place(urn) for rule, urn in said if rule == BY_NUMBER[change.rule].id}
    changed = (stack.folder / CHANGED).read_text(encoding="utf-8")
    if isinstance(change, Addition):
        reported = change.new()[change.reported]
        assert at == {place(reported.urn)}
    elif change.reported:
        assert {each.partition(" ")[0] for each in at} == {change.reported}
    else:
        assert at == {f"{change.type} {changed}"}
    record_property("change", described(change))
    record_property("changed", changed)
    record_property("reported", sorted(at))
