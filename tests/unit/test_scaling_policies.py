"""The policies of worker hosts as the scaling benchmark computes them: the deployed expressions, and AWS's part."""

from collections.abc import Sequence

import pytest
from agent_fleet.aws.worker_group_scaling import WAKING_STEPS, excess_load, floor_load, missing_hosts

from benchmarks.scaling_expressions import ExpressionError, Value, evaluate
from benchmarks.scaling_policy import GroupState, StepScaling, TargetTracking, decide

JOBS = 4


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("IF(x > 1, 10, 20)", 10),
        ("IF(x > 1 AND y > 1, 10, 20)", 20),
        ("IF(x > 1 OR y > 1, 10, 20)", 10),
        ("IF(y > 0, x / y, x)", 2),
        ("x / y", None),
        ("CEIL(x / 4)", 1),
        ("FILL(nothing, 3) + x", 5),
        ("nothing + x", None),
        ("IF(nothing > 0, 1, 2)", None),
        ("-x", -2),
    ],
)
def test_metric_math_is_computed_as_cloudwatch_does(expression: str, value: Value) -> None:
    """A simulation of another policy than the deployed one shows nothing."""
    assert evaluate(expression, {"x": 2.0, "y": 0.0, "nothing": None}) == value


@pytest.mark.parametrize("expression", ["SEARCH('x', 'Sum', 60)", "other + 1", "x +", "[x]"])
def test_what_is_not_computed_here_is_said(expression: str) -> None:
    """An expression that was left half computed would look like a policy that does nothing."""
    with pytest.raises(ExpressionError):
        evaluate(expression, {"x": 1.0})


@pytest.mark.parametrize(
    ("backlog", "floor", "hosts", "load", "missing"),
    [
        (0, 2, 0, 0, 0),
        (8, 2, 0, 0, 0),
        (9, 2, 0, 1, 1),
        (20, 2, 0, 12, 3),
        (20, 2, 3, 4, 0),
        (20, 2, 6, 2, 0),
        (20, None, None, 20, 5),
    ],
)
def test_spot_hosts_are_for_what_the_hosts_on_demand_do_not_bear(
    backlog: int, floor: int | None, hosts: int | None, load: float, missing: float
) -> None:
    """A group of spot hosts that counts the others' jobs never goes to zero."""
    metrics: dict[str, Value] = {"backlog": backlog, "floor": floor, "hosts": hosts}
    assert evaluate(excess_load(JOBS, floor=True), metrics) == load
    assert evaluate(missing_hosts(JOBS, floor=True), metrics) == missing


@pytest.mark.parametrize(("backlog", "floor", "load"), [(0, 2, 0), (9, 3, 3), (9, 0, 9), (9, None, None)])
def test_hosts_on_demand_share_all_jobs(backlog: int, floor: int | None, load: float | None) -> None:
    """A division by no hosts must not take the metric away when it is needed most."""
    # Where the metric itself is missing the comparison counts it as zero, so the jobs stand alone.
    expected = backlog if floor is None else load
    assert evaluate(floor_load(), {"backlog": backlog, "floor": floor}) == expected


def _tracking() -> TargetTracking:
    return TargetTracking("load", JOBS)


def _decided(policy: TargetTracking, loads: Sequence[float], group: GroupState) -> int | None:
    decided = None
    for load in loads:
        decided = policy.decide({"load": load}, group)
    return decided


def test_hosts_are_added_after_three_points_above_the_target_in_proportion() -> None:
    """One busy minute is no reason to start hosts; three are, and as many as the load needs."""
    group = GroupState(desired=2, in_service=2, warming=False)
    assert _decided(_tracking(), [10, 10], group) is None
    assert _decided(_tracking(), [10, 10, 10], group) == 5
    assert _decided(_tracking(), [10, 3, 10], group) is None


def test_hosts_are_taken_away_only_after_fifteen_points_below_and_for_the_highest_of_them() -> None:
    """Hosts that go after a quiet minute are missing in the next."""
    group = GroupState(desired=10, in_service=10, warming=False)
    assert _decided(_tracking(), [1] * 14, group) is None
    assert _decided(_tracking(), [1] * 14 + [2], group) == 5
    assert _decided(_tracking(), [1] * 14 + [3.9], group) is None
    assert _decided(_tracking(), [0] * 15, group) == 0


def test_no_host_goes_while_others_warm_up() -> None:
    """Those that were just started would be taken for too many before they have done anything."""
    assert _decided(_tracking(), [0] * 20, GroupState(desired=10, in_service=10, warming=True)) is None


def test_the_first_hosts_are_started_by_steps_and_not_asked_for_twice() -> None:
    """Nothing times a factor is nothing: without the steps a group at zero stays there."""
    waking = StepScaling("missing", WAKING_STEPS)
    none = GroupState(desired=0, in_service=0, warming=False)
    assert waking.decide({"missing": 0}, none) is None
    assert waking.decide({"missing": 1}, none) == 1
    assert waking.decide({"missing": 9}, none) == 8
    assert waking.decide({"missing": 500}, none) == 32
    assert waking.decide({"missing": 9}, GroupState(desired=8, in_service=0, warming=True)) is None


def test_of_several_policies_the_one_that_wants_the_most_counts() -> None:
    """A policy that would take hosts away must not win over one that needs them."""
    low = TargetTracking("low", JOBS)
    for _ in range(14):
        low.decide({"low": 0}, GroupState(4, 4, warming=False))
    waking = StepScaling("missing", WAKING_STEPS)
    group = GroupState(desired=4, in_service=4, warming=False)
    assert decide([low, waking], {"low": 0, "missing": 2}, group, minimum=0, maximum=50) == 6
    assert decide([low, waking], {"low": 0, "missing": 0}, group, minimum=1, maximum=50) == 1
    assert decide([waking], {"missing": 500}, group, minimum=0, maximum=10) == 10
