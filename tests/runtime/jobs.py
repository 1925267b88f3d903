"""Jobs for tests of the store, with every field that a test does not care about filled in."""

import asyncio
import contextlib
import hashlib
from typing import Any
from uuid import UUID

import psycopg
from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.identifiers import new_job_id
from fleet_runtime.store.budgets import Budgets
from fleet_runtime.store.claims import Claims
from fleet_runtime.store.outcomes import Outcomes
from fleet_runtime.store.records import NewJob
from fleet_runtime.store.usage import UsageTally
from psycopg.rows import dict_row

_MANY = """
WITH job AS (
    INSERT INTO jobs (id, tenant, template, language, priority, max_attempts, retry_terminated, timeout_seconds,
                      body_sha256, request_id, result_ttl_seconds, tombstone_ttl_seconds)
    SELECT gen_random_uuid(), %(tenant)s, %(template)s, 'python', %(priority)s, 3, false, 60, '', '', 3600, 3600
    FROM generate_series(1, %(count)s)
    RETURNING id
)
INSERT INTO job_inputs (job_id, payload) SELECT id, '' FROM job
"""


def new_job(tenant: str = "tenant", **given: Any) -> NewJob:
    """Return a job as the API would store it."""
    body = given.pop("body", b"payload")
    fields: dict[str, Any] = {
        "id": new_job_id(),
        "tenant": tenant,
        "template": "default",
        "language": "python",
        "payload": body,
        "body_sha256": hashlib.sha256(body).digest(),
        "request_id": "request",
        "timeout_seconds": 60.0,
        "max_attempts": 3,
        "retry_terminated": False,
        "priority": 0,
        "idempotency_key": None,
        "result_ttl_seconds": 3_600,
        "tombstone_ttl_seconds": 3_600,
    }
    return NewJob(**{**fields, **given})


async def opened(database: Database) -> None:
    """Open it, and wait for its first answer: a busy machine may need longer for that than a statement is given."""
    await database.open()
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(DatabaseAway):
                await database.tuples("SELECT 1", {})
                return


def worker_on(
    database: Database,
    worker_id: str,
    lease_seconds: float = 30,
    template: str = "default",
    usage: UsageTally | None = None,
) -> tuple[Claims, Outcomes]:
    """Return what a worker of this name works with."""
    claims = Claims(database, worker_id=worker_id, template=template, lease_seconds=lease_seconds, usage=usage)
    return claims, Outcomes(database, worker_id=worker_id, usage=usage)


def row(url: str, id_: UUID) -> dict[str, Any]:
    """Return a job's row as it is."""
    with psycopg.connect(url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM jobs WHERE id = %s", (id_,)).fetchone()
    assert found is not None
    return found


async def expire_lease(database: Database, id_: UUID) -> None:
    """Let a lease's time pass."""
    await database.tuples(
        "UPDATE jobs SET lease_expires_at = now() - interval '1 second' WHERE id = %(id)s AND status = 'running'",
        {"id": id_},
    )


async def end_backoff(database: Database) -> None:
    """Let the time pass after which jobs in the queue may be taken again."""
    await database.tuples("UPDATE jobs SET available_at = now() WHERE status = 'queued'", {})


async def queue_many(database: Database, tenant: str, count: int, priority: int = 0, template: str = "default") -> None:
    """Queue jobs without inputs of their own, in one statement."""
    await database.tuples(_MANY, {"tenant": tenant, "count": count, "priority": priority, "template": template})


async def set_limits(database: Database, tenant: str, **limits: int | None) -> None:
    """Give a tenant limits, as an operator does; the tenant comes to be if it is new."""
    await database.tuples("INSERT INTO tenants (name) VALUES (%(tenant)s) ON CONFLICT DO NOTHING", {"tenant": tenant})
    assert await Budgets(database).set(tenant, limits)
