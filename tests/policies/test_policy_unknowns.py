"""Random parts of resources made unknown: nothing passes for clean by it, and nothing is wrongly reported."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from analyzer_process import GATE, SENTINELS, Given, Pack, Said, changed, copies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_case import Case
from policy_cases import BY_NUMBER, CASES
from test_policy_cases import judged

_SETTINGS = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_Place = tuple[int, tuple[str | int, ...]]


def _places(resources: list[Given]) -> list[_Place]:
    """Everything in the resources' inputs that can be unknown: leaves and whole blocks."""
    return [(i, path) for i, each in enumerate(resources) for path in _paths(each.properties, ())]


def _paths(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        entries = cast(dict[str, Any], value)
        for name, inner in entries.items():
            # A secret's own marks are the engine's.
            if "4dabf18193072939515e22adb298388d" not in entries:
                yield from _paths(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(cast(list[Any], value)):
            yield from _paths(inner, (*path, i))


def _hidden(resources: list[Given], places: list[_Place], marks: list[str]) -> list[Given]:
    """The resources with these places unknown; deeper ones first, so that each is still there."""
    found = copies(resources)
    order = sorted(range(len(places)), key=lambda i: -len(places[i][1]))
    for i in order:
        which, path = places[i]
        inner: Any = found[which].properties
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = marks[i % len(marks)]
    return found


def _sound(said: list[Said]) -> None:
    for each in said:
        assert not any(mark in each.message for mark in SENTINELS), each
        assert "the rule failed" not in each.message, each


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@_SETTINGS
@given(data=st.data())
def test_what_breaks_a_rule_is_never_silently_clean(pack: Pack, case: Case, data: st.DataObject) -> None:
    """An unknown value, wherever it is, would let a broken rule pass without a word."""
    path, value = data.draw(st.sampled_from(list(case.broken)))
    resources = changed(case.given, path, value)
    places = data.draw(st.lists(st.sampled_from(_places(resources)), min_size=1, max_size=4, unique=True))
    marks = data.draw(st.lists(st.sampled_from(SENTINELS), min_size=1, max_size=3))
    said = judged(pack, case, _hidden(resources, places, marks))
    assert said, f"{path} = {value!r} passed with {places} unknown"
    _sound(said)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@_SETTINGS
@given(data=st.data())
def test_what_keeps_a_rule_is_never_reported_as_broken(pack: Pack, case: Case, data: st.DataObject) -> None:
    """Guessing the worst of every unknown would report half of a first preview."""
    places = data.draw(st.lists(st.sampled_from(_places(list(case.given))), min_size=1, max_size=4, unique=True))
    marks = data.draw(st.lists(st.sampled_from(SENTINELS), min_size=1, max_size=3))
    said = judged(pack, case, _hidden(list(case.given), places, marks))
    _sound(said)
    for each in said:
        assert each.policy == GATE or "has to be known there" in each.message, each
    if said:
        assert any(each.policy == GATE for each in said) or BY_NUMBER[case.rule].demands
