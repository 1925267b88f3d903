"""Putting back what nobody holds any more, and removing what has expired. Any number of processes may sweep at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.store.backoff import BACKOFF
from fleet_runtime.store.claim_statement import TODAY
from fleet_runtime.store.database_clock import DatabaseClock

# The second condition is for a clock that jumps between the question for the time and this statement.
_EXPIRED_LEASES: LiteralString = f"""
WITH expired AS (
    SELECT id, CASE WHEN cancel_requested THEN 'cancelled'
                    WHEN failures + 1 >= max_attempts THEN 'lost' ELSE 'queued' END AS next_status
    FROM jobs
    WHERE status = 'running' AND lease_expires_at < now()
      AND now() < %(latest)s
    LIMIT 500 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET
    status = next_status,
    failures = failures + 1,
    lease_expires_at = NULL,
    available_at = now() + {BACKOFF},
    ended_at = CASE WHEN next_status <> 'queued' THEN now() END,
    error_code = CASE WHEN next_status = 'lost' THEN 'worker_lost' END,
    error_message = CASE WHEN next_status = 'lost'
        THEN 'the worker disappeared while it held the job, on attempt ' || attempt || '; no attempt is left' END,
    next_removal_at = CASE WHEN next_status <> 'queued' THEN now() + make_interval(secs => result_ttl_seconds) END
FROM expired WHERE jobs.id = expired.id
RETURNING jobs.id, jobs.status, jobs.worker_id
"""  # noqa: S608 - literals only

# Of a clock that was set back: a dead worker's lease, or a job's next attempt, would else be hours away.
_FAR_LEASES = """
UPDATE jobs SET lease_expires_at = now() + make_interval(secs => %(most_seconds)s)
WHERE status = 'running' AND lease_expires_at > now() + make_interval(secs => %(most_seconds)s)
"""
_FAR_ATTEMPTS = """
UPDATE jobs SET available_at = now()
WHERE status = 'queued' AND available_at > now() + make_interval(secs => %(most_seconds)s)
"""

_EXPIRED_RESULTS = """
WITH due AS (
    SELECT id FROM jobs WHERE next_removal_at <= now() AND NOT expired
    ORDER BY next_removal_at LIMIT 500 FOR UPDATE SKIP LOCKED
), inputs AS (
    DELETE FROM job_inputs USING due WHERE job_inputs.job_id = due.id
)
UPDATE jobs SET
    expired = true, idempotency_key = NULL, stdout = NULL, stderr = NULL, error_message = NULL, body_sha256 = '',
    next_removal_at = next_removal_at + make_interval(secs => tombstone_ttl_seconds)
FROM due WHERE jobs.id = due.id
RETURNING jobs.id
"""

_TOMBSTONES = """
WITH due AS (
    SELECT id FROM jobs WHERE next_removal_at <= now() AND expired
    ORDER BY next_removal_at LIMIT 500 FOR UPDATE SKIP LOCKED
)
DELETE FROM jobs USING due WHERE jobs.id = due.id RETURNING jobs.id
"""

# An API or a worker that died left these; whoever still watches has said so within the last seconds.
_OLD_WATCHES = "DELETE FROM job_watches WHERE watched_until < now() - interval '30 seconds'"
_UNWATCHED_OUTPUT = """
DELETE FROM job_output WHERE NOT EXISTS (SELECT FROM job_watches WHERE job_watches.job_id = job_output.job_id)
"""

_OLD_WORKERS = "DELETE FROM workers WHERE heartbeat_at < now() - interval '1 hour' RETURNING id"

_OLD_USAGE: LiteralString = f"DELETE FROM tenant_usage WHERE day < {TODAY} - 31"  # noqa: S608 - literals only


@dataclass(frozen=True)
class Swept:
    """What one sweep did."""

    requeued: list[UUID] = field(default_factory=list[UUID])
    ended: list[UUID] = field(default_factory=list[UUID])
    expired: int = 0
    forgotten: int = 0


_RECONNECT_SECONDS = 5.0


def outage_grace_seconds(lease_renew_seconds: float) -> float:
    """Return how long leases are left alone after the database was away: to reconnect, and for a late renewal."""
    return _RECONNECT_SECONDS + 1.5 * lease_renew_seconds


class Sweeper:
    """The part of the store that needs nobody to ask for it."""

    def __init__(
        self, database: Database, *, grace_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Leave leases alone for `grace_seconds`, longer than one renewal, where the database's time is in doubt."""
        self._database = database
        self._clock = clock
        self._database_clock = DatabaseClock(grace_seconds, clock)
        self._far = {"most_seconds": max(120.0, 6 * grace_seconds)}

    async def sweep(self) -> Swept:
        """Do one round, bounded to 500 jobs of each kind. Raises DatabaseAway."""
        try:
            return await self._sweep()
        except DatabaseAway:
            self._database_clock.away()
            raise

    async def _sweep(self) -> Swept:
        asked = self._clock()
        ((now,),) = await self._database.tuples("SELECT now()", {})
        latest = self._database_clock.latest(asked, now)
        leases: list[tuple[UUID, str, str]] = []
        if latest is not None:
            if self._database_clock.went_back:
                await self._database.tuples(_FAR_LEASES, self._far)
                await self._database.tuples(_FAR_ATTEMPTS, self._far)
                self._database_clock.went_back = False
            leases = await self._database.tuples(_EXPIRED_LEASES, {"latest": latest})
            # Who lives has had the time for a beat; its row also holds an operator's wish that it drains.
            await self._database.tuples(_OLD_WORKERS, {})
        expired = await self._database.tuples(_EXPIRED_RESULTS, {})
        forgotten = await self._database.tuples(_TOMBSTONES, {})
        await self._database.tuples(_OLD_USAGE, {})
        await self._database.tuples(_OLD_WATCHES, {})
        await self._database.tuples(_UNWATCHED_OUTPUT, {})
        return Swept(
            requeued=[id_ for id_, status, _ in leases if status == "queued"],
            ended=[id_ for id_, status, _ in leases if status != "queued"],
            expired=len(expired),
            forgotten=len(forgotten),
        )
