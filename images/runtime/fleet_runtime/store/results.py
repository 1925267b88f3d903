"""Reading, listing and cancelling a tenant's jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.states import JobStatus
from fleet_runtime.store.records import ListedJob, ResultOutline, StoredResult

_RESULT = """
SELECT id, status, attempt, exit_code, signal, stdout, stderr, stdout_truncated, stderr_truncated,
       extract(epoch FROM CASE WHEN attempt > 0 THEN coalesce(claimed_at, ended_at) ELSE ended_at END - created_at)
           ::float8 * 1000 AS queued_ms,
       start_ms, run_ms, warm, error_code, error_message, cancel_requested,
       expired OR coalesce(next_removal_at <= now(), false) AS expired
FROM jobs WHERE id = %(id)s AND tenant = %(tenant)s
"""

_OUTLINE = _RESULT.replace(
    "stdout, stderr,",
    "NULL::bytea AS stdout, NULL::bytea AS stderr, "
    "coalesce(length(stdout), 0) AS stdout_bytes, coalesce(length(stderr), 0) AS stderr_bytes,",
)

_PART = """
SELECT substring(CASE %(name)s WHEN 'stdout' THEN stdout ELSE stderr END FROM %(offset)s::int + 1 FOR %(limit)s::int)
FROM jobs WHERE id = %(id)s AND tenant = %(tenant)s
"""

_ENDED = "SELECT id FROM jobs WHERE id = ANY(%(ids)s) AND ended_at IS NOT NULL"

_CANCEL = """
UPDATE jobs SET
    cancel_requested = true,
    status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
    ended_at = CASE WHEN status = 'queued' THEN now() END,
    next_removal_at = CASE WHEN status = 'queued' THEN now() + make_interval(secs => result_ttl_seconds) END
WHERE id = %(id)s AND tenant = %(tenant)s AND status IN ('queued', 'running')
RETURNING status
"""

_STATE = """
SELECT status, expired OR coalesce(next_removal_at <= now(), false) AS expired
FROM jobs WHERE id = %(id)s AND tenant = %(tenant)s
"""

_LIST = """
SELECT id, seq, status, language, agent, workspace, priority, attempt, exit_code, cancel_requested, created_at,
       claimed_at, ended_at, next_removal_at AS expires_at
FROM jobs
WHERE tenant = %(tenant)s AND seq < %(before)s AND NOT expired
  AND coalesce(next_removal_at > now(), true)
  AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s::text[]))
  AND (%(language)s::text IS NULL OR language = %(language)s)
ORDER BY seq DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class State:
    """What a job is now; `changed` is whether this call made it so."""

    status: JobStatus
    expired: bool
    changed: bool


class Results:
    """The part of the store that a tenant sees its jobs through."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def get(self, tenant: str, id_: UUID) -> StoredResult | None:
        """Return one of the tenant's jobs."""
        found = await self._database.rows(StoredResult, _RESULT, {"id": id_, "tenant": tenant})
        return found[0] if found else None

    async def outline(self, tenant: str, id_: UUID) -> ResultOutline | None:
        """Return one of the tenant's jobs without its outputs, which may be large."""
        found = await self._database.rows(ResultOutline, _OUTLINE, {"id": id_, "tenant": tenant})
        return found[0] if found else None

    async def part(self, tenant: str, id_: UUID, name: str, offset: int, limit: int) -> bytes:
        """Return a part of a stored output, `stdout` or `stderr`; empty where there is none any more."""
        parameters = {"id": id_, "tenant": tenant, "name": name, "offset": offset, "limit": limit}
        found = await self._database.tuples(_PART, parameters)
        return bytes(found[0][0] or b"") if found else b""

    async def ended(self, ids: Sequence[UUID]) -> list[UUID]:
        """Return those of these jobs that have ended."""
        return [row[0] for row in await self._database.tuples(_ENDED, {"ids": list(ids)})]

    async def cancel(self, tenant: str, id_: UUID) -> State | None:
        """Cancel a queued job, or ask for a running one to be; an ended one stays as it is."""
        parameters = {"id": id_, "tenant": tenant}
        for _ in range(5):
            for (status,) in await self._database.tuples(_CANCEL, parameters):
                return State(JobStatus(status), expired=False, changed=True)
            found = await self._database.tuples(_STATE, parameters)
            if not found:
                return None
            # One that was accepted between the two statements is neither changed nor ended: once more.
            if JobStatus(found[0][0]).terminal:
                return State(JobStatus(found[0][0]), expired=bool(found[0][1]), changed=False)
        raise DatabaseAway("the job changes its state too fast")

    async def list(
        self,
        tenant: str,
        *,
        before: int,
        limit: int,
        statuses: Sequence[str] | None,
        language: str | None,
    ) -> list[ListedJob]:
        """Return the tenant's jobs, newest first, below the sequence number `before`."""
        parameters: dict[str, Any] = {
            "tenant": tenant,
            "before": before,
            "limit": limit,
            "statuses": list(statuses) if statuses else None,
            "language": language,
        }
        return await self._database.rows(ListedJob, _LIST, parameters)
