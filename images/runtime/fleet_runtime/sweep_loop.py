"""The sweeper's round, in every API and worker process: while one of them lives, nothing is forgotten."""

import asyncio
import random

import structlog
from prometheus_client import Counter

from fleet_runtime.database import DatabaseAway
from fleet_runtime.doorbell import Bell, Doorbell
from fleet_runtime.store.sweeping import Sweeper

log = structlog.get_logger()


async def run_sweeper(sweeper: Sweeper, doorbell: Doorbell, counter: Counter, *, interval_seconds: float) -> None:
    """Sweep about every `interval_seconds`, until cancelled."""
    while True:
        # Spread out, so that processes which started together do not sweep together.
        await asyncio.sleep(interval_seconds * random.uniform(0.75, 1.0))  # noqa: S311
        try:
            swept = await sweeper.sweep()
        except DatabaseAway as error:
            log.warning("sweep_failed", error=str(error))
            continue
        if swept.requeued:
            doorbell.ring(Bell.QUEUED, swept.requeued)
        if swept.ended:
            doorbell.ring(Bell.ENDED, swept.ended)
        counts = {
            "requeued": len(swept.requeued),
            "ended": len(swept.ended),
            "expired": swept.expired,
            "forgotten": swept.forgotten,
        }
        for what, count in counts.items():
            counter.labels(what).inc(count)
        if swept.requeued or swept.ended:
            log.warning("leases_expired", requeued=len(swept.requeued), ended=len(swept.ended))
