"""Claiming jobs, and keeping hold of them."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.errors import UniqueViolation

from fleet_runtime.database import Database
from fleet_runtime.store.claim_statement import CLAIM
from fleet_runtime.store.records import ClaimedJob
from fleet_runtime.store.usage import UsageTally

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


_CLAIM_ATTEMPTS = 5
"""Each failure is another claim's success; after so many the worker asks again when it next looks for work."""

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

    def __init__(
        self,
        database: Database,
        *,
        worker_id: str,
        template: str,
        lease_seconds: float,
        usage: UsageTally | None = None,
    ) -> None:
        """Claim jobs of `template` for `worker_id`, each for `lease_seconds` at a time.

        `usage` is told of jobs that begin and count towards no limit; without it nobody counts those.
        """
        self._database = database
        self._usage = usage
        self._worker_id = worker_id
        self._template = template
        self._lease_seconds = lease_seconds

    async def claim(self, slots: int) -> list[ClaimedJob]:
        """Take up to `slots` jobs within budgets: by the tenant's share of running jobs, then priority, then age."""
        parameters = {
            "template": self._template,
            "worker_id": self._worker_id,
            "lease_seconds": self._lease_seconds,
            "slots": slots,
            "window": 2 * slots + 16,
        }
        for _ in range(_CLAIM_ATTEMPTS):
            # Only `jobs_workspace_writer` can fail a claim: another one has taken a job with the same workspace.
            with contextlib.suppress(UniqueViolation):
                claimed = await self._database.rows(ClaimedJob, CLAIM, parameters)
                self._count(claimed)
                return claimed
        return []

    def _count(self, claimed: Sequence[ClaimedJob]) -> None:
        for job in claimed:
            if self._usage is not None and job.attempt == 1 and not job.limited:
                self._usage.began(job.tenant)

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
