"""The query by which an autoscaler sizes a pool, on the runtime's real tables."""

from typing import Any

import psycopg
from agent_fleet.kubernetes.pool_autoscaler import QUERY
from fleet_runtime.database import Database
from fleet_runtime.store.acceptance import Acceptance
from jobs import new_job, set_limits, worker_on

_ENDED = """
INSERT INTO jobs (id, tenant, template, language, status, priority, max_attempts, retry_terminated, timeout_seconds,
                  body_sha256, request_id, result_ttl_seconds, tombstone_ttl_seconds, ended_at, next_removal_at)
SELECT gen_random_uuid(), 'tenant', 'default', 'python', 'succeeded', 0, 3, false, 60, '', '', 3600, 3600, now(), now()
FROM generate_series(1, 20000)
"""


def counted(url: str, template: str = "default") -> Any:
    """What KEDA reads: the first column of the one row."""
    with psycopg.connect(url) as connection:
        ((value,),) = connection.execute(QUERY.format(template=template).encode()).fetchall()
    return value


async def test_jobs_that_wait_and_jobs_that_run_are_counted(database: Database, database_url: str) -> None:
    """A pool that counts waiting jobs alone shrinks under its longest ones."""
    acceptance = Acceptance(database)
    assert counted(database_url) == 0
    for _ in range(3):
        await acceptance.accept(new_job())
    assert counted(database_url) == 3
    claims, outcomes = worker_on(database, "w")
    (job,) = await claims.claim(1)
    assert counted(database_url) == 3
    await outcomes.hand_back(job.id, job.attempt)
    assert counted(database_url) == 3


async def test_jobs_of_another_pool_are_not_counted(database: Database, database_url: str) -> None:
    """One busy pool would start the workers of all others."""
    await Acceptance(database).accept(new_job(template="alpha-testing"))
    assert counted(database_url) == 0
    assert counted(database_url, "alpha-testing") == 1


async def test_jobs_that_a_budget_keeps_waiting_start_no_workers(database: Database, database_url: str) -> None:
    """One tenant with a long queue and a place for one job would have all of a pool's workers paid for, all idle."""
    acceptance = Acceptance(database)
    for _ in range(4):
        await acceptance.accept(new_job("limited"))
    await acceptance.accept(new_job("free"))
    await set_limits(database, "limited", max_concurrent=1)
    assert counted(database_url) == 2
    claims, _ = worker_on(database, "w")
    assert len(await claims.claim(4)) == 2
    assert counted(database_url) == 2


async def test_ended_jobs_cost_the_query_nothing(database: Database, database_url: str) -> None:
    """It runs every few seconds for each pool: reading all results each time would be the database's main work."""
    await database.tuples(_ENDED, {})
    await Acceptance(database).accept(new_job())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE jobs")
        plan = connection.execute(b"EXPLAIN " + QUERY.format(template="default").encode()).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Seq Scan" not in text, text
    assert "jobs_queued" in text
    assert "jobs_running" in text
    assert counted(database_url) == 1
