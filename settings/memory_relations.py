"""Whether the programs of a pool have the memory that their largest jobs take: else the kernel kills them."""

from collections.abc import Iterator

from settings.cluster_model import AgentType
from settings.component_tables import component_module
from settings.model import Settings
from settings.violation import Violation

_CONTAINERS = 2
"""A pool's pod has two, the API and the worker, with half of its memory each."""


def memory_violations(settings: Settings) -> Iterator[Violation]:
    """Every agent type whose pod a job of 16 MiB would kill, and every pool with more jobs than its worker can hold."""
    needs = component_module("container_memory")
    beside = needs.doorbell_memory(settings.doorbell.kind)
    if settings.telemetry.otlp_endpoint is not None:
        beside += needs.TRACING_MEBIBYTES
    api, worker = needs.API_LEAST_MEBIBYTES + beside, needs.WORKER_LEAST_MEBIBYTES + beside
    least = _CONTAINERS * max(api, worker)
    for name, kind in settings.agent_types.items():
        if kind.limits.memory_mebibytes < least:
            yield Violation(
                f"agent_types.{name}.limits.memory_mebibytes",
                f"given {kind.limits.memory_mebibytes}; each of a pod's two containers gets half of it, and a job with "
                f"16 MiB of files, which anybody may send, takes up to {api} in the API and {worker} in "
                f"the worker: allowed from {least}",
                ("doorbell.kind", "telemetry.otlp_endpoint"),
            )
    for team_name, team in settings.teams.items():
        for name, pool in team.pools.items():
            kind = settings.agent_types.get(name)
            if kind is not None and kind.limits.memory_mebibytes >= least:
                yield from _jobs(f"teams.{team_name}.pools.{name}", name, kind, pool.concurrency, beside)


def _jobs(here: str, name: str, kind: AgentType, concurrency: int, beside: int) -> Iterator[Violation]:
    needs = component_module("container_memory")
    memory = kind.limits.memory_mebibytes // _CONTAINERS
    most = needs.jobs_that_fit(memory - beside)
    needed = _CONTAINERS * (needs.memory_of_jobs(concurrency) + beside)
    if concurrency > most:
        key = f"agent_types.{name}.limits.memory_mebibytes"
        yield Violation(
            f"{here}.concurrency",
            f"given {concurrency}; the worker has {memory} MiB, half of fleet.{key}, and takes "
            f"{needs.WORKER_IDLE_MEBIBYTES + beside} and {needs.JOB_MEBIBYTES} for each job with 16 MiB of "
            f"files: allowed up to {most}, or raise fleet.{key} to {needed}",
            (key, "doorbell.kind", "telemetry.otlp_endpoint"),
        )
