"""checkov, cloudsplaining and bandit over all that is no Kubernetes object: no finding without a reason."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from judge_excuses import Finding, excuses, idle, unexcused
from judge_runs import PLANTED, bandit_findings, checkov_findings, cloudsplaining_findings

pytestmark = pytest.mark.timeout(300)
JUDGES: Mapping[str, Callable[[Path], list[Finding]]] = {
    "checkov": checkov_findings,
    "cloudsplaining": cloudsplaining_findings,
    "bandit": bandit_findings,
}


@pytest.fixture(scope="module", params=JUDGES)
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Finding]]:
    """Each judge in turn, with all that it finds."""
    return request.param, JUDGES[request.param](tmp_path_factory.mktemp(request.param))


def _apart(found: list[Finding], *, planted: bool) -> list[Finding]:
    return [each for each in found if (PLANTED in each.place) == planted]


def test_nothing_is_found_that_has_no_reason(judged: tuple[str, list[Finding]]) -> None:
    """A weakness that somebody else's rules know would ship unseen."""
    assert not unexcused(_apart(judged[1], planted=False))


def test_a_planted_fault_is_found(judged: tuple[str, list[Finding]]) -> None:
    """A judge that is called wrongly finds nothing, and looks content."""
    judge, found = judged
    places = {"checkov": 3, "cloudsplaining": 1, "bandit": 1}
    assert len({each.place for each in _apart(found, planted=True)}) == places[judge]
    assert unexcused(_apart(found, planted=True))


def test_no_excuse_outlives_what_it_excuses(judged: tuple[str, list[Finding]]) -> None:
    """It would hide the next finding of its rule."""
    judge, found = judged
    assert not idle(judge, _apart(found, planted=False))


def test_every_excuse_has_a_reason_and_a_judge() -> None:
    """A list of excuses without reasons only ever grows."""
    for each in excuses():
        assert each.judge in JUDGES
        assert len(each.reason.split()) >= 8, f"{each.rule} has no reason"
