"""Ending an attempt. Every statement here is fenced: it changes nothing unless this worker still holds this attempt."""

from typing import Any, LiteralString
from uuid import UUID

from fleet_runtime.database import Database
from fleet_runtime.states import JobStatus
from fleet_runtime.store.backoff import BACKOFF
from fleet_runtime.store.claim_statement import TODAY
from fleet_runtime.store.records import Outcome
from fleet_runtime.store.usage import UsageTally

# A cancel that was committed before this result wins over it.
_FINISH: LiteralString = f"""
WITH ended AS (
    UPDATE jobs SET
        status = CASE WHEN cancel_requested THEN 'cancelled' ELSE %(status)s END,
        exit_code = %(exit_code)s, signal = %(signal)s, stdout = %(stdout)s, stderr = %(stderr)s,
        stdout_truncated = %(stdout_truncated)s, stderr_truncated = %(stderr_truncated)s,
        start_ms = %(start_ms)s, run_ms = %(run_ms)s, warm = %(warm)s,
        max_memory_bytes = %(max_memory_bytes)s, cpu_ms = %(cpu_ms)s,
        error_code = CASE WHEN cancel_requested THEN NULL ELSE %(error_code)s END,
        error_message = CASE WHEN cancel_requested THEN NULL ELSE %(error_message)s END,
        lease_expires_at = NULL, ended_at = now(),
        next_removal_at = now() + make_interval(secs => result_ttl_seconds)
    WHERE id = %(id)s AND attempt = %(attempt)s AND worker_id = %(worker_id)s AND status = 'running'
    RETURNING status, tenant
), used AS (
    INSERT INTO tenant_usage (tenant, day, part, cpu_ms)
    SELECT ended.tenant, {TODAY}, pg_backend_pid() %% 8, %(cpu_ms)s
    FROM ended JOIN tenant_budgets AS budget ON budget.tenant = ended.tenant
    WHERE %(cpu_ms)s::float8 > 0 AND budget.cpu_seconds_per_day IS NOT NULL
    ON CONFLICT (tenant, day, part) DO UPDATE SET cpu_ms = tenant_usage.cpu_ms + excluded.cpu_ms
    RETURNING tenant
)
SELECT status, tenant, EXISTS (SELECT FROM used) FROM ended
"""  # noqa: S608 - literals only

_ENDED_BY_ME = """
SELECT status FROM jobs
WHERE id = %(id)s AND attempt = %(attempt)s AND worker_id = %(worker_id)s AND ended_at IS NOT NULL AND NOT expired
"""

_HAND_BACK = """
UPDATE jobs SET
    status = change.status,
    lease_expires_at = NULL,
    available_at = now() + make_interval(secs => %(delay_seconds)s),
    ended_at = CASE WHEN change.status <> 'queued' THEN now() END,
    next_removal_at = CASE WHEN change.status <> 'queued' THEN now() + make_interval(secs => result_ttl_seconds) END
FROM (
    SELECT id, CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END AS status
    FROM jobs
    WHERE id = %(id)s AND attempt = %(attempt)s AND worker_id = %(worker_id)s AND status = 'running'
    FOR UPDATE
) AS change
WHERE jobs.id = change.id
RETURNING jobs.status
"""

_RETRY: LiteralString = f"""
UPDATE jobs SET
    status = change.status,
    failures = failures + 1,
    lease_expires_at = NULL,
    available_at = now() + {BACKOFF},
    ended_at = CASE WHEN change.status <> 'queued' THEN now() END,
    error_code = CASE WHEN change.status = 'lost' THEN %(error_code)s END,
    error_message = CASE WHEN change.status = 'lost' THEN %(error_message)s END,
    next_removal_at = CASE WHEN change.status <> 'queued' THEN now() + make_interval(secs => result_ttl_seconds) END
FROM (
    SELECT id, CASE WHEN cancel_requested THEN 'cancelled'
                    WHEN failures + 1 >= max_attempts THEN 'lost' ELSE 'queued' END AS status
    FROM jobs
    WHERE id = %(id)s AND attempt = %(attempt)s AND worker_id = %(worker_id)s AND status = 'running'
    FOR UPDATE
) AS change
WHERE jobs.id = change.id
RETURNING jobs.status
"""  # noqa: S608 - literals only


class Outcomes:
    """The part of the store that one worker ends attempts with.

    Each method returns the job's new status, or None where the worker no longer held the attempt and nothing changed.
    """

    def __init__(self, database: Database, *, worker_id: str, usage: UsageTally | None = None) -> None:
        """Write as this worker; `usage` is told of processor time that counts towards no limit."""
        self._database = database
        self._usage = usage
        self._worker_id = worker_id

    async def finish(self, id_: UUID, attempt: int, outcome: Outcome) -> JobStatus | None:
        """Store a result; it is final."""
        key = self._key(id_, attempt)
        ended = await self._database.tuples(_FINISH, {**vars(outcome), **key})
        for _, tenant, counted in ended:
            if self._usage is not None and outcome.cpu_ms and not counted:
                self._usage.used(tenant, outcome.cpu_ms)
        # An earlier try may have been committed by a connection that died before it could say so.
        return _status(ended or await self._database.tuples(_ENDED_BY_ME, key))

    async def hand_back(self, id_: UUID, attempt: int, *, delay_seconds: float = 0) -> JobStatus | None:
        """Return a job to the queue without counting a failure."""
        parameters = {**self._key(id_, attempt), "delay_seconds": delay_seconds}
        return _status(await self._database.tuples(_HAND_BACK, parameters))

    async def retry(self, id_: UUID, attempt: int, *, error_code: str, error_message: str) -> JobStatus | None:
        """Count a failure of the infrastructure: back to the queue, or `lost` with this error if it was the last."""
        parameters = {**self._key(id_, attempt), "error_code": error_code, "error_message": error_message}
        return _status(await self._database.tuples(_RETRY, parameters))

    def _key(self, id_: UUID, attempt: int) -> dict[str, Any]:
        return {"id": id_, "attempt": attempt, "worker_id": self._worker_id}


def _status(rows: list[tuple[Any, ...]]) -> JobStatus | None:
    return JobStatus(rows[0][0]) if rows else None
