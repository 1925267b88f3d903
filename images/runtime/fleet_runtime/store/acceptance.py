"""Accepting jobs: the job and its inputs are committed together, or not at all."""

from typing import Any
from uuid import UUID

from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.states import JobStatus
from fleet_runtime.store.records import Accepted, NewJob

_INSERT = """
WITH job AS (
    INSERT INTO jobs (id, tenant, template, language, priority, max_attempts, retry_terminated, timeout_seconds,
                      idempotency_key, body_sha256, request_id, traceparent, result_ttl_seconds,
                      tombstone_ttl_seconds, agent, workspace)
    VALUES (%(id)s, %(tenant)s, %(template)s, %(language)s, %(priority)s, %(max_attempts)s, %(retry_terminated)s,
            %(timeout_seconds)s, %(idempotency_key)s, %(body_sha256)s, %(request_id)s, %(traceparent)s,
            %(result_ttl_seconds)s, %(tombstone_ttl_seconds)s, %(agent)s, %(workspace)s)
    ON CONFLICT DO NOTHING
    RETURNING id
), input AS (
    INSERT INTO job_inputs (job_id, payload) SELECT id, %(payload)s FROM job
)
SELECT id FROM job
"""

_EXISTING = """
SELECT id, status, body_sha256, expired OR coalesce(next_removal_at <= now(), false) AS gone
FROM jobs WHERE tenant = %(tenant)s AND idempotency_key = %(idempotency_key)s
"""

_BY_ID = "SELECT status FROM jobs WHERE id = %(id)s AND tenant = %(tenant)s"

# The sweeper frees keys too; a request must not have to wait for it.
_FREE_EXPIRED_KEY = """
UPDATE jobs SET idempotency_key = NULL WHERE id = %(id)s AND next_removal_at <= now()
"""

_QUEUED = """
SELECT count(*) FROM (
    SELECT FROM jobs WHERE status = 'queued' AND template = %(template)s AND tenant = %(tenant)s LIMIT %(limit)s
) AS queued
"""


class IdempotencyConflict(Exception):  # noqa: N818 - a refusal
    """The tenant used this idempotency key for another body, whose result has not expired."""


class Acceptance:
    """The part of the store that the API writes jobs with."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def accept(self, job: NewJob) -> Accepted:
        """Store a job; when this returns, it is committed. Raises IdempotencyConflict or DatabaseAway."""
        parameters = vars(job)
        for _ in range(5):
            if await self._database.tuples(_INSERT, parameters):
                return Accepted(job.id, JobStatus.QUEUED, created=True)
            existing = await self.existing(job)
            if existing is not None:
                return existing
        raise DatabaseAway("the job's idempotency key is being released by another request")

    async def existing(self, job: NewJob) -> Accepted | None:
        """Return the job that this one repeats, if there is one; raises IdempotencyConflict."""
        # The insert may have been committed by a connection that died before it could say so.
        for (status,) in await self._database.tuples(_BY_ID, {"id": job.id, "tenant": job.tenant}):
            return Accepted(job.id, JobStatus(status), created=True)
        if job.idempotency_key is None:
            return None
        for found in await self._database.tuples(_EXISTING, vars(job)):
            return await self._judge(job, *found)
        return None

    async def _judge(self, job: NewJob, id_: UUID, status: str, body_sha256: bytes, gone: bool) -> Accepted | None:
        if gone:
            await self._database.tuples(_FREE_EXPIRED_KEY, {"id": id_})
            return None
        if body_sha256 != job.body_sha256:
            raise IdempotencyConflict
        return Accepted(id_, JobStatus(status), created=False)

    async def queued(self, tenant: str, template: str, limit: int) -> int:
        """Return how many of a tenant's jobs are queued, counting up to `limit`."""
        parameters: dict[str, Any] = {"tenant": tenant, "template": template, "limit": limit}
        return int((await self._database.tuples(_QUEUED, parameters))[0][0])
