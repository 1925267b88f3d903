"""The shipped stacks keep every rule, and each rule sees the one change that breaks it there."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from analyzer_process import ADVISORY, GATE, MANDATORY, Pack, Said
from policy_cases import BY_NUMBER
from policy_mutations import ADDITIONS, CHANGES, MUTATIONS, Addition, Mutation
from shipped_stacks import CONFIGURATION, shipped

STACKS = ("prod", "staging", "dev", "local-cluster", "local")


@pytest.fixture
def configured(pack: Pack) -> Pack:
    """The pack with this project's configuration."""
    pack.configure(CONFIGURATION)
    return pack


@pytest.fixture(scope="session")
def as_shipped(_process: Pack) -> Callable[[str], list[Said]]:
    """What the pack says of a stack as it is shipped, found out once."""

    @cache
    def said(stack: str) -> list[Said]:
        _process.configure(CONFIGURATION)
        return _process.judge(shipped(stack))

    return said


def new_ones(after: list[Said], before: list[Said]) -> list[Said]:
    """What was not said before, but for the gate's count."""
    return [each for each in after if each not in before and not (each.policy == GATE and each.level == ADVISORY)]


@pytest.mark.parametrize("stack", STACKS)
def test_a_shipped_stack_breaks_no_rule_and_leaves_nothing_unlisted(
    as_shipped: Callable[[str], list[Said]], stack: str
) -> None:
    """A newcomer's first preview under policies would fail, and teach them to switch these off."""
    assert [each for each in as_shipped(stack) if each.level == MANDATORY] == []


@pytest.mark.parametrize("stack", STACKS)
def test_a_shipped_stack_breaks_no_rule_once_everything_is_known(configured: Pack, stack: str) -> None:
    """What a preview may leave to the update would fail there, half of the stack deployed."""
    said = configured.judge(shipped(stack, preview=False))
    assert said == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: BY_NUMBER[each.rule].id)
def test_one_change_of_a_shipped_stack_is_seen_by_its_rule_alone(
    configured: Pack, as_shipped: Callable[[str], list[Said]], mutation: Mutation
) -> None:
    """A rule that fits its own examples, and not what is really declared, guards nothing."""
    given = shipped(mutation.stack)
    changed, resource = mutation.apply(given)
    said = new_ones(configured.judge(changed, [resource.urn]), as_shipped(mutation.stack))
    wanted = {BY_NUMBER[number].id for number in (mutation.rule, *mutation.also)}
    assert {each.policy for each in said} == wanted, said
    assert all(each.level == MANDATORY for each in said)
    where = {each.urn for each in said if each.policy == BY_NUMBER[mutation.rule].id}
    if not mutation.reported:
        assert where == {resource.urn}
    else:
        assert {urn.split("::")[-2].rpartition("$")[2] for urn in where} == {mutation.reported}


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda each: BY_NUMBER[each.rule].id)
def test_something_new_with_one_fault_is_seen_by_its_rule_alone(configured: Pack, addition: Addition) -> None:
    """What no shipped stack has yet comes one day, with the faults that it has everywhere."""
    given = shipped(addition.stack)
    changed, resource = addition.apply(given)
    right = addition.right(given)
    urns = [each.urn for each in changed[len(given) :]]
    before = configured.judge(right, urns)
    assert [each for each in before if each.level == MANDATORY] == []
    said = new_ones(configured.judge(changed, urns), before)
    assert {(each.policy, each.urn) for each in said} == {(BY_NUMBER[addition.rule].id, resource.urn)}, said


def test_a_repository_of_a_stack_that_is_thrown_away_may_go_with_its_images(configured: Pack) -> None:
    """Its next `down` would fail on images that nobody misses."""
    addition = next(each for each in ADDITIONS if each.rule == 4)
    thrown_away = replace(addition, stack="dev")
    assert "ecr-no-force-delete" in {each.policy for each in configured.judge(addition.new())}
    assert "ecr-no-force-delete" not in {each.policy for each in configured.judge(thrown_away.new())}


def test_every_rule_is_broken_once() -> None:
    """64 of 64."""
    assert [each.rule for each in CHANGES] == sorted(BY_NUMBER)
