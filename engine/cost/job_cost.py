"""What jobs cost beyond what the stack costs at rest."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.cost.charges import WorkerHosts
from engine.cost.planned import Plan
from engine.cost.price_table import RegionalPrices

_THOUSAND = 1_000
_KIBIBYTES = 1024 * 1024
"""Of one GiB."""


@dataclass(frozen=True)
class JobCost:
    """Dollars for a thousand jobs."""

    usd_always: float
    """Requests and logs, whatever runs the jobs."""
    fit_at_rest: int
    """Jobs a month that the hosts which are there at rest have room for."""
    usd_beyond: float | None
    """For those that do not fit, `usd_always` included; None where no group of hosts can grow."""
    beyond_on: str
    """What they run on then; empty where no group can grow."""


def job_cost(workers: Sequence[WorkerHosts], plan: Plan, prices: RegionalPrices) -> JobCost | None:
    """The cost of jobs on these hosts; None where the stack has none that run jobs."""
    if not workers:
        return None
    always = 0.0
    if plan.of_type("aws:sqs/queue:Queue"):
        requests = prices.assumed("job_queue_requests") * _THOUSAND
        always += requests / 1_000_000 * prices.unit("queue_million_requests")
    if plan.of_type("aws:cloudwatch/logGroup:LogGroup"):
        always += prices.assumed("job_log_kibibytes") * _THOUSAND / _KIBIBYTES * prices.unit("log_gibibyte")
    fit = sum(jobs_per_hour(each, prices) * each.at_rest * prices.hours for each in workers)
    growing = [each for each in workers if each.at_most > each.at_rest]
    cheapest = min(growing, key=lambda each: each.usd_per_hour / jobs_per_hour(each, prices), default=None)
    if cheapest is None:
        return JobCost(always, round(fit), None, "")
    beyond = always + cheapest.usd_per_hour / jobs_per_hour(cheapest, prices) * _THOUSAND
    return JobCost(always, round(fit), beyond, f"{cheapest.instance_type}, {'spot' if cheapest.spot else 'on demand'}")


def jobs_per_hour(hosts: WorkerHosts, prices: RegionalPrices) -> float:
    """How many jobs one host ends in an hour."""
    at_once = min(
        hosts.vcpus / prices.assumed("job_vcpus"), hosts.memory_gibibytes / prices.assumed("job_memory_gibibytes")
    )
    return at_once * 3_600 / prices.assumed("job_seconds") * prices.assumed("worker_utilisation")
