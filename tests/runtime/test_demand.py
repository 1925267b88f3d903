"""How many jobs hosts are wanted for: those that run, and those that could begin."""

import pytest
from fleet_runtime.database import Database
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.demand import demand
from jobs import new_job, set_limits, worker_on


async def accepted(database: Database, tenant: str, count: int) -> None:
    """Have so many jobs of a tenant wait."""
    for _ in range(count):
        await Acceptance(database).accept(new_job(tenant))


async def test_an_unlimited_tenants_jobs_all_count(database: Database) -> None:
    """Its hosts would never come."""
    assert await demand(database) == 0
    await accepted(database, "free", 5)
    claims, outcomes = worker_on(database, "w")
    (job, _) = await claims.claim(2)
    assert await demand(database) == 5
    await outcomes.hand_back(job.id, job.attempt, delay_seconds=0)
    assert await demand(database) == 5


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"max_concurrent": 1}, 1),
        ({"max_concurrent": 4, "jobs_per_minute": 2}, 2),
        ({"jobs_per_day": 3}, 3),
        ({"max_concurrent": 100}, 8),
    ],
)
async def test_jobs_that_a_budget_keeps_waiting_start_no_hosts(
    database: Database, limits: dict[str, int], wanted: int
) -> None:
    """One tenant with a long queue and a place for one job would have fifty hosts paid for, all idle."""
    await accepted(database, "limited", 8)
    await set_limits(database, "limited", **limits)
    assert await demand(database) == wanted
    claims, _ = worker_on(database, "w")
    running = await claims.claim(1)
    assert len(running) == 1
    # A job that runs is one that counts, and takes a place of the budget.
    assert await demand(database) == wanted
    await accepted(database, "free", 2)
    assert await demand(database) == wanted + 2
