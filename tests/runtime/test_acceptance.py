"""Accepting: committed or not there at all, once for each idempotency key."""

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fleet_runtime.database import Database
from fleet_runtime.migrations.runner import migrate
from fleet_runtime.schema import metadata
from fleet_runtime.store.acceptance import Acceptance, IdempotencyConflict
from fleet_runtime.store.results import Results
from fleet_runtime.store.sweeping import Sweeper
from jobs import new_job
from sqlalchemy import create_engine, make_url


async def test_one_key_from_many_requests_at_once_makes_one_job(database: Database) -> None:
    """A client that retries over two connections must not run its job twice."""
    acceptance = Acceptance(database)
    jobs = [new_job(idempotency_key="k") for _ in range(20)]
    accepted = await asyncio.gather(*(acceptance.accept(job) for job in jobs))
    assert len({one.id for one in accepted}) == 1
    assert sum(one.created for one in accepted) == 1
    assert await database.tuples("SELECT count(*) FROM jobs", {}) == [(1,)]
    assert await database.tuples("SELECT count(*) FROM job_inputs", {}) == [(1,)]


async def test_two_bodies_racing_for_one_key_leave_one_job_and_one_refusal(database: Database) -> None:
    """Which wins is open; that both do must not happen."""
    for number in range(20):
        jobs = [new_job(idempotency_key=f"k{number}", body=body) for body in (b"x", b"y")]
        answers: list[Any] = await asyncio.gather(
            *(Acceptance(database).accept(job) for job in jobs), return_exceptions=True
        )
        assert sorted(isinstance(answer, IdempotencyConflict) for answer in answers) == [False, True]


async def test_a_job_that_is_accepted_again_by_its_id_is_the_same_job(database: Database) -> None:
    """A commit whose answer was lost with the connection is repeated, and must not become an error."""
    job = new_job()
    assert (await Acceptance(database).accept(job)).created
    again = await Acceptance(database).accept(job)
    assert (again.id, again.created) == (job.id, True)


async def test_a_key_is_free_again_when_its_result_has_expired(database: Database) -> None:
    """A key is unique until the result expires, and not a second longer, sweeper or not."""
    first = new_job(idempotency_key="k", body=b"x")
    await Acceptance(database).accept(first)
    await Results(database).cancel(first.tenant, first.id)
    with pytest.raises(IdempotencyConflict):
        await Acceptance(database).accept(new_job(idempotency_key="k", body=b"y"))
    await database.tuples("UPDATE jobs SET next_removal_at = now()", {})
    second = await Acceptance(database).accept(new_job(idempotency_key="k", body=b"y"))
    assert second.created
    assert second.id != first.id


async def test_an_expired_result_loses_its_content_first_and_its_row_later(database: Database) -> None:
    """What a tenant sent must not outlive its result; that there was a job may, for a while."""
    job = new_job(idempotency_key="k")
    await Acceptance(database).accept(job)
    results, sweeper = Results(database), Sweeper(database, grace_seconds=0)
    await results.cancel(job.tenant, job.id)
    assert (await sweeper.sweep()).expired == 0
    await database.tuples("UPDATE jobs SET next_removal_at = now()", {})
    found = await results.get(job.tenant, job.id)
    assert found is not None
    assert found.expired, "expired on time, even before the sweeper came"
    assert (await sweeper.sweep()).expired == 1
    assert await database.tuples("SELECT count(*) FROM job_inputs", {}) == [(0,)]
    assert await database.tuples("SELECT idempotency_key, stdout, expired FROM jobs", {}) == [(None, None, True)]
    assert (await sweeper.sweep()).forgotten == 0
    await database.tuples("UPDATE jobs SET next_removal_at = now()", {})
    assert (await sweeper.sweep()).forgotten == 1
    assert await results.get(job.tenant, job.id) is None


async def test_counting_a_tenants_queue_stops_at_the_limit(database: Database) -> None:
    """A budget check must not read a long queue to its end."""
    for _ in range(4):
        await Acceptance(database).accept(new_job())
    await Acceptance(database).accept(new_job("other"))
    assert await Acceptance(database).queued("tenant", "default", 3) == 3
    assert await Acceptance(database).queued("tenant", "default", 10) == 4


def test_the_migrations_build_exactly_the_schema_in_the_code(database_url: str) -> None:
    """A table that differs from what the statements expect fails in production only."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_migrating_a_current_database_changes_nothing(database_url: str) -> None:
    """Every API process migrates when it starts, and most find nothing to do."""
    migrate(database_url)
    migrate(database_url)
