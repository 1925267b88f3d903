"""PostgreSQL for real: one server for the whole run, shared by all test processes, and a database for each test."""

import contextlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from doorbell_carriers import Carrier, PostgresCarrier, RedisCarrier
from filelock import FileLock
from fleet_runtime.database import Database
from fleet_runtime.migrations.runner import migrate
from jobs import opened
from postgres_server import ContainerServer, LocalServer, NoServerError, Server, start_server
from psycopg import sql
from runtime_processes import Stack, start_stack
from sqs_carrier import SqsCarrier, SqsServer, aws_environment

_SHARED = "AGENT_FLEET_TEST_POSTGRES"
_TEMPLATE = "fleet_template"


def pytest_configure(config: pytest.Config) -> None:
    """Agree with the other test processes of this run on where the server is noted down."""
    if not hasattr(config, "workerinput"):
        os.environ[_SHARED] = tempfile.mkdtemp(prefix="agent-fleet-test-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the server, in the process that started the others and outlives them."""
    if hasattr(config, "workerinput") or _SHARED not in os.environ:
        return
    folder = Path(os.environ.pop(_SHARED))
    noted = folder / "server.json"
    if noted.exists():
        _noted_server(noted).remove()
    shutil.rmtree(folder, ignore_errors=True)


def _noted_server(noted: Path) -> Server:
    described = json.loads(noted.read_text())
    if "name" in described:
        return ContainerServer(**described)
    return LocalServer(Path(described["programs"]), Path(described["data"]), described["url"])


@pytest.fixture(scope="session")
def server() -> Server:
    """A running server, with a migrated template database."""
    folder = Path(os.environ[_SHARED])
    noted = folder / "server.json"
    with FileLock(folder / "lock", timeout=280):
        if noted.exists():
            return _noted_server(noted)
        try:
            started = start_server(folder)
        except NoServerError as error:
            pytest.skip(f"needs PostgreSQL: {error}")
        noted.write_text(json.dumps(vars(started), default=str))
        with psycopg.connect(started.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        migrate(_database_url(started, _TEMPLATE))
    return started


def _database_url(server: Server, name: str) -> str:
    return server.url.rpartition("/")[0] + f"/{name}"


def _new_database(server: Server, template: str = _TEMPLATE) -> Generator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(create)
    yield _database_url(server, name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        _drop(connection, sql.Identifier(name))


def _drop(connection: psycopg.Connection[Any], name: sql.Identifier) -> None:
    for _ in range(10):
        try:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        except psycopg.errors.InsufficientPrivilege:
            # The server cleans up what a test has filled; it ends that by itself for a drop without force.
            with contextlib.suppress(psycopg.errors.ObjectInUse):
                connection.execute(sql.SQL("DROP DATABASE {}").format(name))
                return
        else:
            return
    raise AssertionError(f"the database {name} is in use, and it is not known by whom")


@pytest.fixture
def database_url(server: Server) -> Generator[str]:
    """A migrated database of this test's own."""
    yield from _new_database(server)


@pytest.fixture
def empty_database_url(server: Server) -> Generator[str]:
    """A database without tables."""
    yield from _new_database(server, "template1")


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    """Open connections to `database_url`."""
    database = Database(database_url, application_name="test", connections=20, timeout_seconds=10)
    await opened(database)
    yield database
    await database.close()


@pytest.fixture(scope="module")
def shared_database_url(server: Server) -> Generator[str]:
    """A migrated database for all tests of a module."""
    yield from _new_database(server)


@pytest.fixture(scope="session")
def stack(server: Server) -> Generator[Stack]:
    """An API and a worker as processes, for all tests that share them; each test takes a tenant of its own."""
    databases = _new_database(server)
    with start_stack(next(databases), workers=1) as started:
        yield started
    next(databases, None)


@pytest.fixture(scope="session")
def redis() -> Generator[RedisCarrier]:
    """A Redis for all tests, which leave it running."""
    try:
        started = RedisCarrier.create()
    except NoServerError as error:
        pytest.skip(f"needs Redis: {error}")
    yield started
    started.remove()


@pytest.fixture(scope="session")
def sqs_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[SqsServer]:
    """An SQS for all tests, which leave it running and make queues of their own."""
    started = SqsServer.create(tmp_path_factory.mktemp("sqs") / "log")
    yield started
    started.kill()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in the environment, of this process and those that it starts."""
    for name, value in aws_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["postgres", "redis", "sqs"])
def carrier(request: pytest.FixtureRequest, database_url: str, aws: None) -> Carrier:
    """What carries doorbells, each kind in turn."""
    if request.param == "postgres":
        return PostgresCarrier(database_url)
    if request.param == "redis":
        return request.getfixturevalue("redis")
    return SqsCarrier(request.getfixturevalue("sqs_server"), database_url)
