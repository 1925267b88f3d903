"""The simulation of worker hosts: it loses no job, adds up, and behaves as queues do where the answer is known."""

import math
import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.figures import percentile
from benchmarks.scaling import scaling_figures
from benchmarks.scaling_arrivals import Arrivals, Job, arrivals, burst, daily_wave, steady
from benchmarks.scaling_model import GroupPlan, Plan, simulate
from benchmarks.scaling_plan import always, shipped_plan


def fixed(hosts: int, places: int = 1, **given: float) -> Plan:
    """So many hosts, always."""
    return replace(Plan(groups=(GroupPlan("floor", hosts, hosts, 1.0),), places=places), **given)


def test_a_single_place_waits_as_theory_says() -> None:
    """Known of a queue with one place and exponential times (M/M/1) at half load: the mean wait is one service time."""
    chosen = random.Random(3)
    at, jobs = 0.0, list[Job]()
    for _ in range(60_000):
        at += chosen.expovariate(0.5)
        jobs.append(Job(at, chosen.expovariate(1.0)))
    outcome = simulate(Arrivals("known", at, tuple(jobs)), fixed(1))
    assert statistics.mean(outcome.waits) == pytest.approx(1.0, rel=0.1)


def test_jobs_that_come_together_wait_in_order() -> None:
    """A job that is overtaken for ever has no longest wait."""
    jobs = tuple(Job(0.0, 10.0) for _ in range(6))
    outcome = simulate(Arrivals("together", 1.0, jobs), fixed(1, places=2))
    assert outcome.waits == [0, 0, 10, 10, 20, 20]


def test_hosts_are_paid_from_their_start_to_their_end() -> None:
    """A cost that leaves out drains or starts flatters whoever scales the most."""
    outcome = simulate(Arrivals("one", 3_600.0, (Job(0.0, 1.0),)), fixed(3))
    assert outcome.host_seconds == {"floor": pytest.approx(3 * 3_600, abs=120)}
    assert outcome.usd == pytest.approx(3.0, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    per_minute=st.floats(1, 400),
    mean_seconds=st.floats(0.5, 300),
    interruptions=st.floats(0, 20),
    minutes=st.integers(5, 60),
)
def test_every_job_ends_once_whatever_becomes_of_the_hosts(
    seed: int, per_minute: float, mean_seconds: float, interruptions: float, minutes: int
) -> None:
    """A simulation that drops the jobs of hosts that went would show how well they do."""
    plan = replace(shipped_plan(), interruptions_per_hour=interruptions, seed=seed, drain_seconds=60)
    given_jobs = arrivals("any", minutes * 60.0, lambda _: per_minute, mean_seconds, seed)
    # A job that is longer than any spot host lives would begin anew for ever.
    jobs = tuple(Job(job.at, min(job.seconds, 90.0)) for job in given_jobs.jobs)
    outcome = simulate(replace(given_jobs, jobs=jobs), plan)
    assert outcome.ended == len(jobs) == len(outcome.waits)
    assert min(outcome.waits, default=0) >= 0
    assert outcome.usd == pytest.approx(
        sum(outcome.host_seconds[group.name] / 3_600 * group.usd_per_hour for group in plan.groups)
    )


def test_jobs_of_hosts_that_are_taken_back_run_again_soon() -> None:
    """What is handed back goes to the front: it has waited already."""
    plan = replace(shipped_plan(), interruptions_per_hour=6)
    outcome = simulate(steady(100, 60, hours=2), plan)
    assert outcome.interrupted_hosts > 20
    assert outcome.handed_back
    assert percentile(outcome.handed_back, 0.5) < percentile([0, *outcome.waits], 1.0) + 1


def test_spot_hosts_go_to_zero_when_there_is_nothing_to_do() -> None:
    """A host that is kept for nothing is what spot was chosen against."""
    outcome = simulate(burst(0.01, 600, 8, hours=3), shipped_plan())
    assert max(sample.hosts[1] for sample in outcome.samples) > 5
    assert outcome.samples[-1].hosts == (shipped_plan().groups[0].minimum, 0)


def test_hosts_follow_a_day() -> None:
    """At noon there must be more hosts than at midnight, and never more than the settings allow."""
    outcome = simulate(daily_wave(10, 200, 8), shipped_plan())
    taken = [sample.hosts for sample in outcome.samples]
    noon = statistics.mean(sum(hosts) for hosts in taken[11 * 60 : 13 * 60])
    night = statistics.mean(sum(hosts) for hosts in taken[:60])
    assert noon > 2 * night
    assert percentile(outcome.waits, 0.95) < 120


def test_arrivals_are_the_same_each_time_and_as_many_as_asked_for() -> None:
    """Two runs of other jobs cannot be compared."""
    assert steady(60, 8) == steady(60, 8)
    assert len(steady(60, 8).jobs) == pytest.approx(4 * 60 * 60, rel=0.05)
    assert statistics.mean(job.seconds for job in steady(60, 8).jobs) == pytest.approx(8, rel=0.1)


def test_figures_hold_the_policy_against_hosts_that_are_always_there() -> None:
    """Waits alone say nothing: a fleet of a hundred hosts has none."""
    load = steady(60, 8, hours=1)
    figures = list(scaling_figures([(load, simulate(load, shipped_plan()))]))
    costs = [figure for figure in figures if figure.unit == "US cents"]
    assert [figure.compared_with for figure in costs] == [
        f"{simulate(load, shipped_plan()).most_hosts} hosts on demand all the time",
        "the settings' default",
    ]
    assert all(math.isfinite(figure.value) and figure.compared_value for figure in costs)
    assert simulate(load, always(shipped_plan(), 10)).most_hosts == 10
