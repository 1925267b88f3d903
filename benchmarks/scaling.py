"""How worker hosts follow the jobs: waits, hosts and cost of the shipped policy, simulated and beside a real run."""

from collections.abc import Iterator, Sequence

from benchmarks.figures import Figure, percentile
from benchmarks.scaling_arrivals import Arrivals
from benchmarks.scaling_model import Outcome, simulate
from benchmarks.scaling_plan import JOB_SECONDS, REGION, always, other_target, patterns, shipped_plan
from benchmarks.scaling_plot import Panel, draw
from benchmarks.scaling_run import agreement, measure


def simulated() -> list[tuple[Arrivals, Outcome]]:
    """Every load under the shipped policy."""
    return [(each, simulate(each, shipped_plan())) for each in patterns()]


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
            100 * outcome.usd * per_thousand,
            "US cents",
            f"{how}; prices of {REGION}, {outcome.interrupted_hosts} spot hosts taken back, "
            f"{len(outcome.handed_back)} jobs handed back",
            f"{outcome.most_hosts} hosts on demand all the time",
            100 * fixed * per_thousand,
        )
        target = other_target()
        other = simulate(arrivals, shipped_plan(target))
        said = f"{name}, jobs_per_host {target}"
        yield Figure(
            f"{said}: a job waits for its start, p95",
            percentile(other.waits, 0.95),
            "s",
            how,
            "the settings' default",
            percentile(outcome.waits, 0.95),
            samples=count,
        )
        yield Figure(
            f"{said}: worker hosts for a thousand jobs",
            100 * other.usd * per_thousand,
            "US cents",
            how,
            "the settings' default",
            100 * outcome.usd * per_thousand,
        )


def scaling() -> Iterator[Figure]:
    """Simulate every load and hold the simulation against a real run; draw what came of it."""
    results = simulated()
    yield from scaling_figures(results)
    groups = ("on demand", "spot")
    panels = [Panel(load.name, outcome.samples, groups) for load, outcome in results]
    # What was simulated stays where the real run is interrupted.
    draw(panels)
    measured = measure()
    yield from agreement(measured)
    draw([*panels, Panel("small scale, measured", measured.real.samples, groups, measured.simulated.samples)])
