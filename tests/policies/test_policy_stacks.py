"""The shipped stacks keep every rule, and each rule sees the one change that breaks it there."""

from collections.abc import Callable
from functools import cache

import pytest
from agent_fleet_policies.iam import ACCESS_KEY
from analyzer_process import ADVISORY, GATE, MANDATORY, Given, Pack, Said
from policy_cases import BY_NUMBER
from policy_mutations import ADDITIONS, MUTATIONS, Addition, Mutation
from shipped_stacks import CONFIGURATION, shipped

STACKS = ("prod", "staging", "dev", "local-cluster", "local")
# Rules about what another resource lacks report that other one.
_REPORTED_ELSEWHERE = {30: None, 35: "*FileSystem", 58: "*Namespace", 59: "*Namespace"}


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
    elsewhere = _REPORTED_ELSEWHERE.get(mutation.rule)
    if elsewhere is None:
        assert where == {resource.urn}
    else:
        assert {urn.split("::")[-2].rpartition(":")[2] for urn in where} == {elsewhere.lstrip("*")}


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda each: BY_NUMBER[each.rule].id)
def test_something_new_with_one_fault_is_seen_by_its_rule_alone(configured: Pack, addition: Addition) -> None:
    """What no shipped stack has yet comes one day, with the faults that it has everywhere."""
    given = shipped(addition.stack)
    changed, resource = addition.apply(given)
    right = addition.right(given)
    urns = [each.urn for each in right[len(given) :]]
    said = new_ones(configured.judge(changed, urns), configured.judge(right, urns))
    assert {each.policy for each in said} == {BY_NUMBER[addition.rule].id}, said
    assert resource.urn in {each.urn for each in said} or addition.rule in (2, 5)


def test_a_repository_that_may_be_deleted_with_its_images_is_seen_in_prod(configured: Pack) -> None:
    """In a stack that is thrown away it is let through."""
    case = next(each for each in ADDITIONS if each.rule == 1)
    repository = case.right(())[0]
    repository = Given(repository.type, {**repository.properties, "forceDelete": True}, urn=repository.urn)
    assert "ecr-no-force-delete" not in {each.policy for each in configured.judge([repository])}
    repository.urn = repository.urn.replace("urn:pulumi:test", "urn:pulumi:prod")
    assert "ecr-no-force-delete" in {each.policy for each in configured.judge([repository])}


def test_an_access_key_in_a_shipped_stack_is_seen(configured: Pack) -> None:
    """It is the one rule that allows nothing of its type."""
    given = shipped("local")
    key = Given(ACCESS_KEY, {"user": "ci"}, "ci")
    said = new_ones(configured.judge([*given, key], [key.urn]), configured.judge(given, []))
    assert [(each.policy, each.urn) for each in said] == [("iam-no-access-keys", key.urn)]


def test_every_rule_is_broken_once() -> None:
    """64 of 64."""
    tried = {each.rule for each in (*MUTATIONS, *ADDITIONS)}
    assert tried | {4, 48} == set(BY_NUMBER)
