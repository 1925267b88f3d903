"""Jobs that the infrastructure failed for good, kept with their inputs until their results expire, and run again."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from fleet_runtime.database import Database
from fleet_runtime.identifiers import new_job_id

# As in the index `jobs_dead_letters`, which finds them without looking at other jobs.
_DEAD: LiteralString = "(status = 'lost' OR error_code = 'sandbox_terminated') AND NOT expired"
_PAGE = 500

_COLUMNS: LiteralString = (
    "seq, id, tenant, template, language, agent, workspace, status, attempt, failures, error_code, error_message, "
    "created_at, ended_at, next_removal_at AS expires_at, replayed_as, replayed_from"
)

_LIST: LiteralString = f"""
SELECT {_COLUMNS} FROM jobs
WHERE {_DEAD} AND next_removal_at > now() AND seq > %(after)s
  AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
  AND (%(since)s::timestamptz IS NULL OR ended_at >= %(since)s)
  AND (%(seconds)s::float8 IS NULL OR ended_at >= now() - make_interval(secs => %(seconds)s))
ORDER BY seq LIMIT %(limit)s
"""  # noqa: S608 - literals only

_GET: LiteralString = f"""
SELECT {_COLUMNS} FROM jobs WHERE id = %(id)s AND {_DEAD} AND next_removal_at > now()
"""  # noqa: S608 - literals only

_INPUT = "SELECT payload FROM job_inputs WHERE job_id = %(id)s"

COPIED: LiteralString = (
    "tenant, template, language, priority, max_attempts, retry_terminated, timeout_seconds, body_sha256, request_id, "
    "result_ttl_seconds, tombstone_ttl_seconds, agent, workspace"
)
"""The columns that a repeated job takes over: what was asked for, and nothing of what became of it."""

# The lock makes one of two that replay the same at once the second, which then finds `replayed_as`.
_REPLAY: LiteralString = f"""
WITH letter AS MATERIALIZED (
    SELECT id, {COPIED} FROM jobs
    WHERE id = %(id)s AND {_DEAD} AND next_removal_at > now() AND (%(again)s OR replayed_as IS NULL)
      AND EXISTS (SELECT FROM job_inputs WHERE job_id = jobs.id)
    FOR UPDATE
), marked AS (
    UPDATE jobs SET replayed_as = %(new_id)s FROM letter WHERE jobs.id = letter.id
), job AS (
    INSERT INTO jobs (id, replayed_from, {COPIED}) SELECT %(new_id)s, id, {COPIED} FROM letter
    RETURNING id
), input AS (
    INSERT INTO job_inputs (job_id, payload)
    SELECT job.id, job_inputs.payload FROM job CROSS JOIN job_inputs WHERE job_inputs.job_id = %(id)s
)
SELECT id FROM job
"""  # noqa: S608 - literals only


@dataclass(frozen=True)
class DeadLetter:
    """A job that did not end by its own doing: `lost`, or `failed` because its sandbox died."""

    seq: int
    id: UUID
    tenant: str
    template: str
    language: str
    agent: str | None
    workspace: str | None
    status: str
    attempt: int
    failures: int
    error_code: str | None
    error_message: str | None
    created_at: datetime
    ended_at: datetime
    expires_at: datetime
    replayed_as: UUID | None
    replayed_from: UUID | None


class DeadLetters:
    """The part of the store that an operator looks after failed jobs with."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def list(
        self, *, tenant: str | None = None, since: datetime | float | None = None
    ) -> AsyncGenerator[DeadLetter]:
        """Yield them, oldest first; `since` is when they ended at the earliest, or how many seconds ago."""
        ago = isinstance(since, (int, float))
        parameters = {
            "tenant": tenant,
            "since": None if ago else since,
            "seconds": since if ago else None,
            "limit": _PAGE,
        }
        page: list[DeadLetter] = []
        while not page or len(page) == _PAGE:
            after = page[-1].seq if page else -1
            page = await self._database.rows(DeadLetter, _LIST, {**parameters, "after": after})
            for letter in page:
                yield letter
            if not page:
                return

    async def get(self, id_: UUID) -> DeadLetter | None:
        """Return one, or None where no dead letter that has not expired has this id."""
        found = await self._database.rows(DeadLetter, _GET, {"id": id_})
        return found[0] if found else None

    async def payload(self, id_: UUID) -> bytes | None:
        """Return a job's input; None where it has expired."""
        found = await self._database.tuples(_INPUT, {"id": id_})
        return bytes(found[0][0]) if found else None

    async def replay(self, id_: UUID, *, again: bool = False) -> UUID | None:
        """Queue a new job that repeats a dead letter and return its id.

        None where there is no such dead letter, or where it was replayed before and `again` is not given.
        """
        new_id = new_job_id()
        if await self._database.tuples(_REPLAY, {"id": id_, "new_id": new_id, "again": again}):
            return new_id
        # It may have been committed by a connection that died before it could say so.
        letter = await self.get(id_)
        return new_id if letter is not None and letter.replayed_as == new_id else None
