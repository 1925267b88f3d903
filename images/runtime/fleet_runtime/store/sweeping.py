"""Putting back what nobody holds any more, and removing what has expired. Any number of processes may sweep at once."""

from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from fleet_runtime.database import Database
from fleet_runtime.store.backoff import BACKOFF
from fleet_runtime.store.claim_statement import TODAY

# After a restart of the database every lease may look expired, because none could be renewed while it was down: whoever
# still works gets one round of renewals first.
_EXPIRED_LEASES: LiteralString = f"""
WITH expired AS (
    SELECT id, CASE WHEN cancel_requested THEN 'cancelled'
                    WHEN failures + 1 >= max_attempts THEN 'lost' ELSE 'queued' END AS next_status
    FROM jobs
    WHERE status = 'running' AND lease_expires_at < now()
      AND pg_postmaster_start_time() + make_interval(secs => %(grace_seconds)s) < now()
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
    """Return how long leases are left alone after the database has started: to reconnect, and for a late renewal."""
    return _RECONNECT_SECONDS + 1.5 * lease_renew_seconds


class Sweeper:
    """The part of the store that needs nobody to ask for it."""

    def __init__(self, database: Database, *, grace_seconds: float) -> None:
        """Leave leases alone for `grace_seconds` after the database has started: longer than one renewal."""
        self._database = database
        self._grace_seconds = grace_seconds

    async def sweep(self) -> Swept:
        """Do one round, bounded to 500 jobs of each kind."""
        leases = await self._database.tuples(_EXPIRED_LEASES, {"grace_seconds": self._grace_seconds})
        expired = await self._database.tuples(_EXPIRED_RESULTS, {})
        forgotten = await self._database.tuples(_TOMBSTONES, {})
        await self._database.tuples(_OLD_WORKERS, {})
        await self._database.tuples(_OLD_USAGE, {})
        await self._database.tuples(_OLD_WATCHES, {})
        await self._database.tuples(_UNWATCHED_OUTPUT, {})
        return Swept(
            requeued=[id_ for id_, status, _ in leases if status == "queued"],
            ended=[id_ for id_, status, _ in leases if status != "queued"],
            expired=len(expired),
            forgotten=len(forgotten),
        )
