"""Bringing an empty database to the schema, by many at once."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
from fleet_runtime.migrations.runner import migrate
from postgres_server import Server
from psycopg import sql


def test_many_apis_that_start_together_migrate_an_empty_database_once(server: Server) -> None:
    """Replicas of an API start in the same second; two that both create a table fail, and their pods restart."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = server.url.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with ThreadPoolExecutor(8) as starting:
                for migration in [starting.submit(migrate, url) for _ in range(8)]:
                    migration.result(timeout=60)
            with psycopg.connect(url) as migrated:
                assert migrated.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
                assert migrated.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_an_api_that_restarts_on_a_newer_schema_leaves_it_as_it_is(database_url: str) -> None:
    """An old replica may start again during a rollout: one that ends for this takes half of the fleet's API away."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
