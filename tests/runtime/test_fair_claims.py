"""One tenant's ten thousand jobs against another's one, and what a claim reads to find it."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fleet_runtime.database import Database, connection_settings
from fleet_runtime.states import JobStatus
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.claim_statement import CLAIM
from fleet_runtime.store.records import Outcome
from jobs import new_job, queue_many, set_limits, worker_on
from psycopg import sql

PARAMETERS = {"template": "default", "worker_id": "w", "lease_seconds": 30.0, "slots": 4, "window": 24}
TYPES = {"template": "text", "worker_id": "text", "lease_seconds": "float8", "slots": "int2", "window": "int2"}


async def test_ten_thousand_jobs_of_one_tenant_delay_anothers_by_one_running_job_at_most(database: Database) -> None:
    """A tenant with a single job must get the next slot that frees, whichever worker's it is and whatever it asks."""
    workers = [worker_on(database, f"w{number}") for number in range(4)]
    await queue_many(database, "big", 10_000, priority=100)
    running = [[*await claims.claim(2)] for claims, _ in workers]
    for round_ in range(5):
        await Acceptance(database).accept(job := new_job("small", priority=-100))

        async def end_one_and_claim(number: int) -> list[str]:
            claims, outcomes = workers[number]
            ended = running[number].pop(0)
            await outcomes.finish(ended.id, ended.attempt, Outcome(JobStatus.SUCCEEDED))
            claimed = await claims.claim(1)
            running[number] += claimed
            return [each.tenant for each in claimed]

        tenants = [name for claimed in await asyncio.gather(*map(end_one_and_claim, range(4))) for name in claimed]
        assert sorted(tenants) == ["big", "big", "big", "small"], f"round {round_}: {tenants}"
        for number, (_, outcomes) in enumerate(workers):
            for each in [each for each in running[number] if each.id == job.id]:
                await outcomes.finish(each.id, each.attempt, Outcome(JobStatus.SUCCEEDED))
                running[number].remove(each)
                running[number] += await workers[number][0].claim(1)


async def test_a_high_priority_means_nothing_to_other_tenants(database: Database) -> None:
    """Whoever asks for the most urgency must not get others' share."""
    await queue_many(database, "urgent", 20, priority=100)
    await queue_many(database, "modest", 20, priority=-100)
    claims, _ = worker_on(database, "w")
    for slots in (4, 6):
        tenants = [job.tenant for job in await claims.claim(slots)]
        assert tenants.count("modest") == slots // 2


async def test_tenants_that_may_not_run_are_passed_over(database: Database) -> None:
    """Jobs over budget at the head of the queue must not keep a worker's slots empty."""
    for tenant in ("a", "b", "c"):
        await set_limits(database, tenant, max_concurrent=1)
        await queue_many(database, tenant, 30)
    await queue_many(database, "z", 30)
    claims, _ = worker_on(database, "w")
    tenants = [job.tenant for job in await claims.claim(8)]
    assert {tenant: tenants.count(tenant) for tenant in "abcz"} == {"a": 1, "b": 1, "c": 1, "z": 5}


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Relation Name" in node:
        yield node
    for inner in node.get("Plans", []):
        yield from _scans(inner)


def _prepare(connection: psycopg.Connection[Any]) -> sql.Composed:
    """Prepare the claim with the plan that is kept whatever the parameters are, and return how to run it."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", CLAIM)))
    statement = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", CLAIM).replace("%%", "%")
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(f"PREPARE claim ({', '.join(TYPES[name] for name in names)}) AS {statement}".encode())
    execute = sql.SQL("EXECUTE claim ({})").format(sql.SQL(", ").join(sql.Literal(PARAMETERS[name]) for name in names))
    connection.execute(execute)
    return sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) {}").format(execute)


@pytest.mark.parametrize(
    "limits",
    [{}, {"max_concurrent": 2}, {"jobs_per_day": 1}, {"jobs_per_minute": 1}, {"cpu_seconds_per_day": 1}],
    ids=lambda limits: next(iter(limits), "no limit"),
)
async def test_a_claim_reads_a_handful_of_rows_of_ten_thousand(
    database: Database, database_url: str, limits: dict[str, int]
) -> None:
    """A claim that looks at all that waits slows every worker down by as much as one tenant has queued.

    The plan is the one that a worker made while the queue was empty, with no statistics.
    """
    await set_limits(database, "big", **limits)
    await database.tuples("INSERT INTO tenant_usage SELECT 'big', (now() AT TIME ZONE 'UTC')::date, 0, 5, 5000", {})
    with psycopg.connect(database_url, **connection_settings("explain", 30)) as connection:
        explain = _prepare(connection)
        await queue_many(database, "big", 10_000)
        await queue_many(database, "small", 1)
        found = connection.execute(explain).fetchone()
        assert found is not None
        plan = found[0] if isinstance(found[0], list) else json.loads(found[0])
    read = 0.0
    for scan in _scans(plan[0]["Plan"]):
        if scan["Relation Name"] == "jobs":
            assert scan["Node Type"] != "Seq Scan", scan
            each = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
            read += each * scan["Actual Loops"]
    assert read < 150, "\n".join(str(scan) for scan in _scans(plan[0]["Plan"]))
    claimed = await database.tuples("SELECT tenant FROM jobs WHERE status = 'running'", {})
    assert ("small",) in claimed
