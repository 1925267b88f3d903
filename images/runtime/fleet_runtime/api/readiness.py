"""Whether jobs can be accepted and run: of one template, or of the pools that the API routes to."""

from collections.abc import Sequence

from fleet_runtime.api.models import Readiness
from fleet_runtime.config import ApiSettings
from fleet_runtime.store.fleet import WorkerState

FRESH_SECONDS = 15
"""A worker beats every 5 s; three missed beats and it does not count."""

_SHOWN_REASONS = 20


def judge(settings: ApiSettings, workers: Sequence[WorkerState]) -> Readiness:
    """Return the state as these workers make it.

    An API of several pools is ready while any of them can run: were one pool's trouble to take it out of service, no
    other pool would get a job. A pool that scales from zero can run without a worker: jobs are what brings one up.
    The reasons name the pools that cannot run in either case.
    """
    able = {template: _able(workers, template) for template in settings.templates}
    ready = {template: count > 0 for template, count in able.items()}
    for pool in settings.pools:
        if pool.scales_from_zero and not any(worker.template == pool.template for worker in workers):
            ready[pool.template] = True
    draining = [worker.id for worker in workers if worker.draining and worker.template in able][:_SHOWN_REASONS]
    reasons = [reason for template in able if not ready[template] for reason in _reasons(workers, template)]
    return Readiness(
        ready=any(ready.values()), workers=sum(able.values()), reasons=reasons[:_SHOWN_REASONS], draining=draining
    )


def _able(workers: Sequence[WorkerState], template: str) -> int:
    return sum(worker.template == template and worker.healthy and not worker.draining for worker in workers)


def _reasons(workers: Sequence[WorkerState], template: str) -> list[str]:
    mine = [worker for worker in workers if worker.template == template]
    if not mine:
        return [f"no worker for template {template!r} was heard of in the last {FRESH_SECONDS} s"]
    return [
        f"worker {worker.id}: {'draining' if worker.draining else worker.reason or 'not healthy'}" for worker in mine
    ]
