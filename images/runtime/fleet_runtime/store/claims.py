"""Claiming jobs, and keeping hold of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fleet_runtime.database import Database
from fleet_runtime.store.records import ClaimedJob

# `waiting` hops from tenant to tenant along the index: a tenant costs the same with one job queued as with many.
# A tenant's turn is its running jobs plus this one's place in its own queue, so that claiming several at once is as
# fair as one by one.
# The window is wider than the claim because another worker may be taking the same heads at this moment.
_CLAIM = """
WITH RECURSIVE waiting(tenant) AS (
    (SELECT tenant FROM jobs WHERE status = 'queued' AND template = %(template)s ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT next.tenant FROM jobs AS next
            WHERE next.status = 'queued' AND next.template = %(template)s AND next.tenant > waiting.tenant
            ORDER BY next.tenant LIMIT 1)
    FROM waiting WHERE waiting.tenant IS NOT NULL
), running AS (
    SELECT tenant, count(*) AS jobs FROM jobs WHERE status = 'running' GROUP BY tenant
), candidates AS MATERIALIZED (
    SELECT head.id, head.priority, head.seq,
           coalesce(running.jobs, 0) + row_number() OVER (
               PARTITION BY waiting.tenant ORDER BY head.priority DESC, head.seq) AS turn
    FROM waiting
    LEFT JOIN running ON running.tenant = waiting.tenant
    CROSS JOIN LATERAL (
        SELECT id, priority, seq FROM jobs
        WHERE status = 'queued' AND template = %(template)s AND tenant = waiting.tenant AND available_at <= now()
        ORDER BY priority DESC, seq LIMIT %(window)s
    ) AS head
    WHERE waiting.tenant IS NOT NULL
), picked AS MATERIALIZED (
    SELECT jobs.id FROM candidates JOIN jobs ON jobs.id = candidates.id
    WHERE jobs.status = 'queued'
    ORDER BY candidates.turn, candidates.priority DESC, candidates.seq
    LIMIT %(slots)s FOR UPDATE OF jobs SKIP LOCKED
), claimed AS (
    UPDATE jobs SET
        status = 'running', attempt = attempt + 1, worker_id = %(worker_id)s, claimed_at = now(),
        lease_expires_at = now() + make_interval(secs => %(lease_seconds)s)
    FROM picked WHERE jobs.id = picked.id
    RETURNING jobs.id, attempt, failures, max_attempts, retry_terminated, tenant, language, request_id,
              traceparent, timeout_seconds, extract(epoch FROM now() - created_at)::float8 * 1000 AS waited_ms
)
SELECT claimed.*, job_inputs.payload,
       EXISTS (SELECT FROM job_watches WHERE job_watches.job_id = claimed.id AND watched_until > now()) AS watched
FROM claimed JOIN job_inputs ON job_inputs.job_id = claimed.id
"""

_RENEW = """
UPDATE jobs SET lease_expires_at = now() + make_interval(secs => %(lease_seconds)s)
FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS mine(id, attempt)
WHERE jobs.id = mine.id AND jobs.attempt = mine.attempt AND status = 'running' AND worker_id = %(worker_id)s
RETURNING jobs.id, jobs.attempt, cancel_requested, EXISTS (
    SELECT FROM job_watches WHERE job_watches.job_id = jobs.id AND watched_until > now())
"""

_LOOK = """
SELECT jobs.id, jobs.attempt, cancel_requested, EXISTS (
    SELECT FROM job_watches WHERE job_watches.job_id = jobs.id AND watched_until > now())
FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS mine(id, attempt)
JOIN jobs ON jobs.id = mine.id AND jobs.attempt = mine.attempt
WHERE status = 'running' AND worker_id = %(worker_id)s
"""


Attempt = tuple[UUID, int]
"""A job's id and the attempt's number: what a worker holds."""


@dataclass(frozen=True)
class LeaseNews:
    """What became of the attempts that a worker holds: asked to be cancelled, no longer its own, being watched."""

    cancelled: frozenset[Attempt]
    lost: frozenset[Attempt]
    watched: frozenset[Attempt]


class Claims:
    """The part of the store that one worker takes and holds jobs with. Time is the database's own."""

    def __init__(self, database: Database, *, worker_id: str, template: str, lease_seconds: float) -> None:
        """Claim jobs of `template` for `worker_id`, each for `lease_seconds` at a time."""
        self._database = database
        self._worker_id = worker_id
        self._template = template
        self._lease_seconds = lease_seconds

    async def claim(self, slots: int) -> list[ClaimedJob]:
        """Take up to `slots` jobs: by the tenant's share of running jobs, then priority, then age."""
        parameters = {
            "template": self._template,
            "worker_id": self._worker_id,
            "lease_seconds": self._lease_seconds,
            "slots": slots,
            "window": 2 * slots + 8,
        }
        return await self._database.rows(ClaimedJob, _CLAIM, parameters)

    async def renew(self, held: Sequence[Attempt]) -> LeaseNews:
        """Prolong the leases of these attempts, and say which are to stop."""
        return self._news(held, await self._database.tuples(_RENEW, self._parameters(held)))

    async def look(self, held: Sequence[Attempt]) -> LeaseNews:
        """Say which of these attempts are to stop, without writing anything."""
        return self._news(held, await self._database.tuples(_LOOK, self._parameters(held)))

    def _parameters(self, held: Sequence[Attempt]) -> dict[str, object]:
        return {
            "ids": [id_ for id_, _ in held],
            "attempts": [attempt for _, attempt in held],
            "worker_id": self._worker_id,
            "lease_seconds": self._lease_seconds,
        }

    @staticmethod
    def _news(held: Sequence[Attempt], found: Sequence[tuple[UUID, int, bool, bool]]) -> LeaseNews:
        mine = {(id_, attempt): cancelled for id_, attempt, cancelled, _ in found}
        return LeaseNews(
            cancelled=frozenset(attempt for attempt, cancelled in mine.items() if cancelled),
            lost=frozenset(held) - mine.keys(),
            watched=frozenset((id_, attempt) for id_, attempt, _, watched in found if watched),
        )
