"""Every rule through the analyzer's protocol: kept, broken, and with properties that are unknown or missing."""

import pytest
from agent_fleet_policies.iam import ACCESS_KEY
from analyzer_process import GATE, SENTINELS, UNKNOWN, Given, Pack, Said, changed
from policy_case import Case
from policy_cases import BY_NUMBER, CASES

_KNOWN = "has to be known there"


def said_by(rule: str, said: list[Said]) -> list[Said]:
    """What one rule says, or the gate in its name."""
    return [each for each in said if each.policy == rule or (each.policy == GATE and f"\n{rule}: " in each.message)]


def judged(pack: Pack, case: Case, given: list[Given] | None = None) -> list[Said]:
    """What the case's rule says of its resources, or of these."""
    return said_by(BY_NUMBER[case.rule].id, pack.judge(given or case.given))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_keeps_a_rule_is_let_through(pack: Pack, case: Case) -> None:
    """A rule that reports what is right is switched off by the first team that meets it."""
    assert judged(pack, case) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_way_to_break_a_rule_is_reported_at_the_resource(pack: Pack, case: Case) -> None:
    """A misspelt property would make a rule pass for ever."""
    urns = {each.urn for each in case.given}
    for path, value in case.broken:
        found = judged(pack, case, changed(case.given, path, value))
        assert found, f"{path} = {value!r} passed"
        assert {each.policy for each in found} == {BY_NUMBER[case.rule].id}
        assert {each.urn for each in found} <= urns
        assert BY_NUMBER[case.rule].fix in found[0].message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_unknown_property_is_refused_or_counted_as_the_rule_says(pack: Pack, case: Case) -> None:
    """Everybody's policy packs let a rule pass that meets an unknown value."""
    for path, wanted in case.unknown:
        for sentinel in (UNKNOWN, SENTINELS[0], SENTINELS[6]):
            found = judged(pack, case, changed(case.given, path, sentinel))
            if wanted == "clean":
                assert found == [], path
                continue
            assert found, f"{path} unknown passed"
            refused = [each for each in found if each.policy != GATE]
            assert bool(refused) == (wanted == "refused"), (path, found)
            assert all(_KNOWN in each.message for each in refused), (path, found)
            assert not any(mark in each.message for each in found for mark in SENTINELS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_missing_property_means_what_the_provider_makes_of_it(pack: Pack, case: Case) -> None:
    """AWS's default is the opposite of what is wanted as often as not."""
    for path, wanted in case.missing:
        found = judged(pack, case, changed(case.given, path, ...))
        assert bool(found) == (wanted == "broken"), (path, found)
        assert all(each.policy != GATE for each in found)


@pytest.mark.parametrize("case", [case for case in CASES if len(case.broken) > 1], ids=lambda case: case.id)
def test_an_unknown_property_hides_no_violation_beside_it(pack: Pack, case: Case) -> None:
    """With Pulumi's own SDK one unknown ends the rule, and what else is wrong stays unsaid."""
    for path, value in case.broken:
        for hidden, wanted in case.unknown:
            if wanted == "clean" or _overlapping(path, hidden):
                continue
            given = changed(changed(case.given, hidden, UNKNOWN), path, value)
            assert judged(pack, case, given), f"{path} = {value!r} is hidden by {hidden}"


def _overlapping(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def test_any_access_key_is_reported(pack: Pack) -> None:
    """There is no right one."""
    key = Given(ACCESS_KEY, {"user": "ci"})
    assert [each.policy for each in pack.judge([key])] == ["iam-no-access-keys"]
    assert [each.policy for each in pack.judge([Given(ACCESS_KEY, {"user": UNKNOWN})])] == ["iam-no-access-keys"]


def test_every_rule_has_a_case() -> None:
    """A rule that nobody has seen fail is a comment."""
    assert {case.rule for case in CASES} | {48} == set(BY_NUMBER)
