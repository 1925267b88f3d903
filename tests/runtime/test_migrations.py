"""Bringing a database to the schema: an empty one, by many at once, and one that an earlier version has filled."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from fleet_runtime import migrations
from fleet_runtime.database import Database
from fleet_runtime.migrations.runner import migrate
from fleet_runtime.store.dead_letters import DeadLetters
from jobs import opened, worker_on
from sqlalchemy import create_engine, make_url

_OLD_JOBS = """
WITH job AS (
    INSERT INTO jobs (id, tenant, template, language, status, priority, max_attempts, retry_terminated, timeout_seconds,
                      body_sha256, request_id, result_ttl_seconds, tombstone_ttl_seconds, worker_id, lease_expires_at,
                      ended_at, next_removal_at)
    SELECT gen_random_uuid(), 'tenant', 'default', 'python', status, 0, 3, false, 60, '', '', 3600, 3600,
           'worker', now() + interval '1 hour',
           CASE WHEN status = 'lost' THEN now() END, CASE WHEN status = 'lost' THEN now() + interval '1 hour' END
    FROM unnest(ARRAY['queued', 'queued', 'running', 'lost']) AS status
    RETURNING id
)
INSERT INTO job_inputs (job_id, payload) SELECT id, '' FROM job
"""


def _upgrade_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_many_apis_that_start_together_migrate_an_empty_database_once(empty_database_url: str) -> None:
    """Replicas of an API start in the same second; two that both create a table fail, and their pods restart."""
    with ThreadPoolExecutor(8) as starting:
        for migration in [starting.submit(migrate, empty_database_url) for _ in range(8)]:
            migration.result(timeout=60)
    with psycopg.connect(empty_database_url) as migrated:
        assert migrated.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        assert migrated.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


async def test_jobs_of_a_version_without_budgets_go_on_after_the_upgrade(empty_database_url: str) -> None:
    """An upgrade of a fleet that works must lose no job: neither those that wait nor those that failed."""
    _upgrade_to(empty_database_url, "0002")
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(_OLD_JOBS)
    migrate(empty_database_url)
    database = Database(empty_database_url, application_name="test", connections=2, timeout_seconds=10)
    await opened(database)
    claims, _ = worker_on(database, "worker")
    assert [job.limited for job in await claims.claim(4)] == [False, False]
    assert [letter.status async for letter in DeadLetters(database).list(tenant="tenant")] == ["lost"]
    await database.close()


def test_an_api_that_restarts_on_a_newer_schema_leaves_it_as_it_is(database_url: str) -> None:
    """An old replica may start again during a rollout: one that ends for this takes half of the fleet's API away."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
