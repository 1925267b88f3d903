"""What worker hosts are scaled by: the deployed expressions, computed for fleets in all their states."""

import itertools
import math
from typing import Any

from agent_fleet.aws.worker_group_scaling import WAKING_STEPS, excess_load, floor_load, missing_hosts
from hypothesis import given
from hypothesis import strategies as st
from queue_fleet import ON_DEMAND, POLICY, SPOT, deployed

from benchmarks.scaling_expressions import evaluate

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
PER_HOST = 4
BACKLOGS = st.integers(0, 2_000)
FLOORS = st.integers(1, 3)
SPOT_HOSTS = st.integers(1, 50)


def excess(backlog: int | None, floor: int | None, hosts: int | None) -> float | None:
    """The jobs of each spot host."""
    return evaluate(excess_load(PER_HOST, floor=True), {"backlog": backlog, "floor": floor, "hosts": hosts})


def missing(backlog: int | None, floor: int | None, hosts: int | None) -> float | None:
    """The spot hosts that are missing."""
    return evaluate(missing_hosts(PER_HOST, floor=True), {"backlog": backlog, "floor": floor, "hosts": hosts})


@given(BACKLOGS, FLOORS, SPOT_HOSTS)
def test_a_group_at_its_target_has_a_place_for_every_job(backlog: int, floor: int, hosts: int) -> None:
    """Jobs would wait although hosts may be started, or hosts without jobs be paid for."""
    load = excess(backlog, floor, hosts)
    assert load is not None
    # What target tracking makes of it: as many hosts as bring the load to the target.
    wanted = math.ceil(hosts * load / PER_HOST - 1e-9)
    assert (floor + wanted) * PER_HOST >= backlog
    assert wanted == 0 or (floor + wanted - 1) * PER_HOST < backlog


@given(FLOORS, SPOT_HOSTS)
def test_an_idle_fleet_goes_to_no_spot_host(floor: int, hosts: int) -> None:
    """They would be paid for through the night."""
    assert excess(0, floor, hosts) == 0
    assert excess(floor * PER_HOST, floor, hosts) == 0


@given(SPOT_HOSTS)
def test_running_jobs_count_as_much_as_queued_ones(hosts: int) -> None:
    """A group would be scaled in under the jobs that it runs: the queue is empty while all of them run."""
    load = excess((2 + hosts) * PER_HOST, 2, hosts)
    assert load == PER_HOST


@given(BACKLOGS, FLOORS)
def test_from_none_on_the_first_hosts_are_started_and_no_more_than_needed(backlog: int, floor: int) -> None:
    """Nothing times zero is zero: without this the group would stay empty for ever."""
    wanted = missing(backlog, floor, 0)
    assert wanted == max(0, math.ceil((backlog - floor * PER_HOST) / PER_HOST))
    if wanted:
        (added,) = [
            amount
            for (least, amount), upper in zip(
                WAKING_STEPS, [*(each for each, _ in WAKING_STEPS[1:]), math.inf], strict=True
            )
            if least <= wanted < upper
        ]
        assert added <= wanted
        assert added * 2 > min(wanted, 50)


@given(BACKLOGS, FLOORS, SPOT_HOSTS)
def test_a_group_with_hosts_is_not_woken(backlog: int, floor: int, hosts: int) -> None:
    """Two policies would both add what is missing."""
    assert missing(backlog, floor, hosts) == 0


def test_without_the_apis_word_nothing_is_started_or_ended() -> None:
    """All hosts would end while the API is replaced."""
    assert excess(None, 2, 10) is None
    assert missing(None, 2, 0) is None
    assert evaluate(floor_load(), {"backlog": None, "floor": 2}) is None


def test_a_group_that_says_nothing_of_itself_counts_as_none() -> None:
    """CloudWatch has no number for a group that was just made."""
    assert excess(40, None, None) == 40
    assert missing(40, None, None) == 10


def test_the_floor_grows_to_its_own_maximum() -> None:
    """The third host of D7 would never start."""
    load = evaluate(floor_load(), {"backlog": 12, "floor": 2})
    assert load == 6
    assert evaluate(floor_load(), {"backlog": 12, "floor": None}) == 12


def test_the_policies_have_these_expressions_and_the_settings_target(preview: bool) -> None:
    """What was computed here would not be what is deployed."""
    found = deployed(preview, queue={"scaling": {"jobs_per_host": 6}})
    for name, expression in ((ON_DEMAND, floor_load()), (SPOT, excess_load(6, floor=True))):
        tracking = found.one(POLICY, name).inputs["targetTrackingConfiguration"]
        assert tracking["targetValue"] == 6
        (returned,) = [
            each for each in tracking["customizedMetricSpecification"]["metrics"] if each.get("returnData", True)
        ]
        assert returned["expression"] == expression
    alarm: Any = found.one(ALARM, f"{SPOT}-wake").inputs
    assert [each["expression"] for each in alarm["metricQueries"] if "expression" in each] == [
        missing_hosts(6, floor=True)
    ]
    assert alarm["treatMissingData"] == "notBreaching"


def test_the_target_leaves_a_quarter_of_each_host_free_if_nothing_is_said(preview: bool) -> None:
    """Hosts would be full when there are just enough of them, and jobs wait until others start."""
    found = deployed(preview).one(POLICY, SPOT)
    assert found.inputs["targetTrackingConfiguration"]["targetValue"] == 3


def test_steps_leave_no_gap_and_do_not_overlap(preview: bool) -> None:
    """AWS refuses them, and a number between two steps would start nobody."""
    steps = deployed(preview).one(POLICY, f"{SPOT}-wake").inputs["stepAdjustments"]
    assert steps[0]["metricIntervalLowerBound"] == "0"
    assert "metricIntervalUpperBound" not in steps[-1]
    for one, following in itertools.pairwise(steps):
        assert one["metricIntervalUpperBound"] == following["metricIntervalLowerBound"]
        assert one["scalingAdjustment"] < following["scalingAdjustment"]


def test_a_spot_group_that_is_never_empty_needs_no_waking(preview: bool) -> None:
    """An alarm would be paid for that never rings."""
    found = deployed(preview, queue={"spot": {"instance_types": ["m7i.large"], "minimum": 1, "maximum": 5}})
    assert not found.of_type(ALARM)
