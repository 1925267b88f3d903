"""What the fleet's own API does beside answering: it stands for keys, budgets and pools, and moves stranded jobs."""

import asyncio
import random

import structlog

from fleet_runtime.api.pools import default_templates
from fleet_runtime.api.runtime import ApiRuntime
from fleet_runtime.database import DatabaseAway
from fleet_runtime.doorbell import Bell
from fleet_runtime.store.stranded import StrandedJobs

log = structlog.get_logger()


async def run_upkeep(runtime: ApiRuntime) -> None:
    """Go round about every `sweep_seconds`, until cancelled; does nothing before the schema is in place."""
    settings = runtime.settings
    stranded = _stranded_jobs(runtime) if settings.pools else None
    await runtime.prepared.wait()
    while True:
        # Spread out, so that replicas which started together do not sweep together.
        await asyncio.sleep(settings.sweep_seconds * random.uniform(0.75, 1.0))  # noqa: S311
        try:
            await runtime.keys.keep(settings.bootstrap_keys, settings.unlisted_key_seconds)
            if settings.tenant_budgets is not None:
                # An old replica may have started again during a rollout: what the last one lists is what stays.
                await runtime.budgets.synchronise(settings.tenant_budgets)
            if stranded is not None:
                await _move(runtime, stranded)
        except DatabaseAway as error:
            log.warning("upkeep_failed", error=str(error))


def _stranded_jobs(runtime: ApiRuntime) -> StrandedJobs:
    settings = runtime.settings
    return StrandedJobs(
        runtime.database,
        templates=settings.templates,
        homes=default_templates(settings),
        lost_seconds=settings.stranded_seconds,
    )


async def _move(runtime: ApiRuntime, stranded: StrandedJobs) -> None:
    moved = await stranded.sweep()
    for bell, what, ids in (
        (Bell.QUEUED, "rerouted", moved.rerouted),
        (Bell.ENDED, "without_pool", moved.ended),
    ):
        runtime.metrics.swept.labels(what).inc(len(ids))
        if ids:
            runtime.doorbell.ring(bell, ids)
    if moved.rerouted or moved.ended:
        log.warning("stranded_jobs_moved", rerouted=len(moved.rerouted), ended=len(moved.ended))
