"""Connections to PostgreSQL, and one rule for what happens when it is away."""

import asyncio
from collections.abc import Mapping
from typing import Any, LiteralString, TypeVar

import structlog
from psycopg import AsyncConnection, InterfaceError, OperationalError, errors
from psycopg.rows import BaseRowFactory, class_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

log = structlog.get_logger()

Row = TypeVar("Row")

# A queue's tables swing between empty and large faster than statistics follow, and a plan made for an empty table must
# not outlive it. Every statement has an index made for it, so plans that scan or hash a whole table are ruled out. What
# is left is as good for any parameters, and making it anew each time would take longer than a claim itself.
_PLANNER = (
    "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off "
    "-c plan_cache_mode=force_generic_plan -c timezone=UTC"
)

_CONNECTION_SECONDS = 2.0
"""How long a caller waits for a connection; a load that keeps them all busy for longer is to be turned away."""
_FAILING_SECONDS = 0.25

_AWAY = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    PoolClosed,
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.ReadOnlySqlTransaction,
    TimeoutError,
    OSError,
)


class DatabaseAway(Exception):  # noqa: N818 - a state of the world, not a fault of the caller
    """The database cannot answer now: not reachable, restarting, not migrated yet, or too slow. Try again later."""


class DatabaseFull(DatabaseAway):
    """The database's disk is full: it reads, and what was committed is kept, but it takes nothing new."""


def connection_settings(application_name: str, statement_timeout_seconds: float) -> dict[str, Any]:
    """Return what every connection of the runtime is opened with, so that no network fault can hang it for long."""
    return {
        "autocommit": True,
        "application_name": application_name[:63],
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        "options": f"{_PLANNER} -c statement_timeout={int(statement_timeout_seconds * 1000)}",
    }


class Database:
    """A pool of autocommit connections. Every operation of the store is one statement, so one round trip."""

    def __init__(self, url: str, *, application_name: str, connections: int, timeout_seconds: float) -> None:
        """Prepare the pool; `timeout_seconds` bounds the wait for the answer to a statement."""
        self.url = url
        self.application_name = application_name
        self._answer_seconds = timeout_seconds
        self._failing = False
        self.was_full = False
        """Whether a statement failed because the disk is full, since somebody last set this to False."""
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            url,
            kwargs=connection_settings(application_name, self._answer_seconds),
            min_size=min(2, connections),
            max_size=connections,
            open=False,
            # Short, because its waits double: after a long outage the next request makes a new attempt at once.
            reconnect_timeout=3,
            max_idle=300,
        )

    async def open(self) -> None:
        """Start connecting in the background; does not wait for the database."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close(timeout=5)

    async def rows(self, row: type[Row], statement: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one statement and return its rows as `row` objects, whose fields are the columns' names.

        A statement that met a dead connection is run once more on a new one, so it must be safe to repeat.
        Raises DatabaseAway.
        """
        return await self._run(class_row(row), statement, parameters)

    async def tuples(self, statement: LiteralString, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows as tuples; otherwise like `rows`."""
        return await self._run(tuple_row, statement, parameters)

    async def _run(
        self, factory: BaseRowFactory[Any], statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[Any]:
        try:
            try:
                rows = await self._once(factory, statement, parameters)
                self._failing = False
                return rows
            except (errors.AdminShutdown, errors.CrashShutdown, errors.IdleSessionTimeout, _Dead):
                return await self._once(factory, statement, parameters)
            except (errors.DeadlockDetected, errors.SerializationFailure):
                return await self._once(factory, statement, parameters)
        except errors.DiskFull as error:
            self.was_full = True
            raise DatabaseFull(_first_line(error)) from error
        except (*_AWAY, _Dead) as error:
            self._failing = isinstance(error, PoolTimeout)
            raise DatabaseAway(_first_line(error)) from error

    async def _once(
        self, factory: BaseRowFactory[Any], statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[Any]:
        asked = _cancellations()
        # While it is away, nobody is to wait long for what will not come; each attempt still has the pool try again.
        async with self._pool.connection(_FAILING_SECONDS if self._failing else _CONNECTION_SECONDS) as connection:
            # The pool waits by `asyncio.wait_for`, which in Python 3.11 drops a cancellation that comes together with
            # what it waits for (CPython issue 86296): the caller would never end.
            if _cancellations() > asked:
                raise asyncio.CancelledError
            try:
                async with (
                    asyncio.timeout(self._answer_seconds),
                    connection.cursor(row_factory=factory, binary=True) as cursor,
                ):
                    await cursor.execute(statement, parameters, prepare=True)
                    return await cursor.fetchall() if cursor.description is not None else []
            except (OperationalError, InterfaceError) as error:
                if connection.closed:
                    # The pool may hold more that died with it; they would each cost a request an attempt.
                    await self._pool.check()
                    raise _Dead(_first_line(error)) from error
                raise


class _Dead(Exception):  # noqa: N818 - private
    """The connection was dead; a new one may not be."""


def _cancellations() -> int:
    """How often the current task was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
