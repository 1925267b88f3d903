"""The policy that moves the worker hosts, as it is shipped, and the loads that it is tried with.

The policy is the deployed one: its expressions come from the component `WorkerGroup`, its numbers from the settings'
defaults, its prices from the table that estimates are made of.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from agent_fleet.aws.worker_group_scaling import WAKING_STEPS, excess_load, floor_load, missing_hosts

from benchmarks.scaling_arrivals import Arrivals, burst, daily_wave, steady
from benchmarks.scaling_model import GroupPlan, Plan
from benchmarks.scaling_policy import StepScaling, TargetTracking
from engine.cost.price_table import regional
from settings.model import Workers
from settings.queue_model import OnDemandWorkers, Scaling, SpotWorkers, usual_jobs_per_host

REGION = "eu-west-1"
JOB_SECONDS = 8.0
"""The mean; the median is 5 s."""
INTERRUPTIONS_PER_HOUR = 0.02
"""Of each spot host. AWS's Spot Instance Advisor has most types below 5 % in a month: this is far worse."""


Policies = Callable[[], Sequence[TargetTracking | StepScaling]]


def policies(jobs_per_host: int) -> tuple[Policies, Policies]:
    """What `WorkerGroup` gives its two groups: the hosts on demand, and the spot hosts."""

    def of_floor() -> Sequence[TargetTracking | StepScaling]:
        return (TargetTracking(floor_load(), jobs_per_host),)

    def of_spot() -> Sequence[TargetTracking | StepScaling]:
        waking = StepScaling(missing_hosts(jobs_per_host, floor=True), WAKING_STEPS)
        return (TargetTracking(excess_load(jobs_per_host, floor=True), jobs_per_host), waking)

    return of_floor, of_spot


def shipped_plan(jobs_per_host: int | None = None) -> Plan:
    """The groups, as the settings' defaults make them, or with another `fleet.queue.scaling.jobs_per_host`."""
    on_demand, spot, scaling, prices = OnDemandWorkers(), SpotWorkers(), Scaling(), regional(REGION)
    places = Workers().concurrency
    jobs = jobs_per_host or scaling.jobs_per_host or usual_jobs_per_host(places)
    kind = prices.instance(on_demand.instance_type)
    if kind is None:
        raise SystemExit(f"engine/cost/prices.toml has no price of {on_demand.instance_type}")
    spot_usd = kind.usd * prices.assumed("spot_share_of_on_demand")
    floor_policies, spot_policies = policies(jobs)
    return Plan(
        groups=(
            GroupPlan("floor", on_demand.minimum, on_demand.maximum, kind.usd, floor_policies),
            GroupPlan("hosts", spot.minimum, spot.maximum, spot_usd, spot_policies, spot=True),
        ),
        places=places,
        warm_up_seconds=scaling.warm_up_seconds,
        interruptions_per_hour=INTERRUPTIONS_PER_HOUR,
    )


def other_target() -> int:
    """As many as a host runs at once: hosts are full when there are just enough of them."""
    return Workers().concurrency


def patterns() -> tuple[Arrivals, ...]:
    """The three loads, all within the queue architecture's range."""
    return (
        steady(300, JOB_SECONDS),
        burst(30, 1_200, JOB_SECONDS),
        daily_wave(20, 600, JOB_SECONDS),
    )


def always(plan: Plan, hosts: int) -> Plan:
    """So many hosts on demand, all the time: what a fleet that nothing moves needs for the same peak."""
    floor = plan.groups[0]
    return replace(plan, groups=(replace(floor, minimum=hosts, maximum=hosts, policies=tuple),))
