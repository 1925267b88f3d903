"""How worker hosts follow the jobs: waits, hosts and cost of the shipped policy, simulated.

The policy is the deployed one: its expressions come from the component `WorkerGroup`, its numbers from the settings'
defaults, its prices from the table that estimates are made of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent_fleet.aws.worker_group_scaling import WAKING_STEPS, excess_load, floor_load, missing_hosts

from benchmarks.figures import Figure, percentile
from benchmarks.scaling_arrivals import Arrivals, burst, daily_wave, steady
from benchmarks.scaling_model import GroupPlan, Outcome, Plan, simulate
from benchmarks.scaling_policy import StepScaling, TargetTracking
from engine.cost.price_table import regional
from settings.model import Workers
from settings.queue_model import OnDemandWorkers, Scaling, SpotWorkers

REGION = "eu-west-1"
JOB_SECONDS = 8.0
"""The mean; the median is 5 s."""
INTERRUPTIONS_PER_HOUR = 0.02
"""Of each spot host. AWS's Spot Instance Advisor has most types below 5 % in a month: this is far worse."""


def shipped_plan() -> Plan:
    """The groups, as the settings' defaults make them."""
    on_demand, spot, scaling, prices = OnDemandWorkers(), SpotWorkers(), Scaling(), regional(REGION)
    places = Workers().concurrency
    jobs = scaling.jobs_per_host or places
    kind = prices.instance(on_demand.instance_type)
    if kind is None:
        raise SystemExit(f"engine/cost/prices.toml has no price of {on_demand.instance_type}")
    spot_usd = kind.usd * prices.assumed("spot_share_of_on_demand")

    def floor_policies() -> Sequence[TargetTracking | StepScaling]:
        return (TargetTracking(floor_load(), jobs),)

    def spot_policies() -> Sequence[TargetTracking | StepScaling]:
        waking = StepScaling(missing_hosts(jobs, floor=True), WAKING_STEPS)
        return (TargetTracking(excess_load(jobs, floor=True), jobs), waking)

    return Plan(
        groups=(
            GroupPlan("floor", on_demand.minimum, on_demand.maximum, kind.usd, floor_policies),
            GroupPlan("hosts", spot.minimum, spot.maximum, spot_usd, spot_policies, spot=True),
        ),
        places=places,
        warm_up_seconds=scaling.warm_up_seconds,
        interruptions_per_hour=INTERRUPTIONS_PER_HOUR,
    )


def patterns() -> tuple[Arrivals, ...]:
    """The three loads, all within the queue architecture's range."""
    return (
        steady(300, JOB_SECONDS),
        burst(30, 1_200, JOB_SECONDS),
        daily_wave(20, 600, JOB_SECONDS),
    )


def simulated() -> list[tuple[Arrivals, Outcome]]:
    """Every load under the shipped policy."""
    return [(each, simulate(each, shipped_plan())) for each in patterns()]


def always(plan: Plan, hosts: int) -> Plan:
    """So many hosts on demand, all the time: what a fleet that nothing moves needs for the same peak."""
    floor = plan.groups[0]
    return replace(plan, groups=(replace(floor, minimum=hosts, maximum=hosts, policies=tuple),))


def scaling_figures(results: Sequence[tuple[Arrivals, Outcome]]) -> Iterator[Figure]:
    """What a reader wants to know of each load."""
    for arrivals, outcome in results:
        hours = arrivals.seconds / 3_600
        how = (
            f"simulated: {len(arrivals.jobs):,} jobs of {JOB_SECONDS:g} s on average in {hours:g} h, "
            f"the queue architecture's policy with the settings' defaults"
        )
        name = f"scaling, {arrivals.name}"
        count = len(outcome.waits)
        for said, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            wait = percentile(outcome.waits, share)
            yield Figure(f"{name}: a job waits for its start, {said}", wait, "s", how, samples=count)
        mean = sum(outcome.host_seconds.values()) / arrivals.seconds
        yield Figure(f"{name}: worker hosts, mean", mean, "hosts", f"{how}; {outcome.most_hosts} at the most")
        fixed = simulate(arrivals, always(shipped_plan(), outcome.most_hosts)).usd
        per_thousand = 1_000 / len(arrivals.jobs)
        yield Figure(
            f"{name}: worker hosts for a thousand jobs",
            outcome.usd * per_thousand,
            "USD",
            f"{how}; prices of {REGION}, {outcome.interrupted_hosts} spot hosts taken back, "
            f"{len(outcome.handed_back)} jobs handed back",
            f"{outcome.most_hosts} hosts on demand all the time",
            fixed * per_thousand,
        )
