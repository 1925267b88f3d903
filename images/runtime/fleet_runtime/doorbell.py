"""The doorbell: tells others that something about a job has changed, and carries its id and nothing else.

Whatever it says is also in the jobs table. A ring that is lost costs one polling interval, one that comes twice costs a
query; so ringing never fails and never waits.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import structlog
from psycopg import AsyncConnection, Error

from fleet_runtime.database import connection_settings

log = structlog.get_logger()

Listener = Callable[[frozenset[UUID]], None]
"""Called with the jobs' ids; with none, it means that rings may have been missed and everything should be looked at."""


class Bell(StrEnum):
    """What there is to ring about."""

    QUEUED = "fleet_queued"
    CANCEL = "fleet_cancel"
    ENDED = "fleet_ended"
    WATCHED = "fleet_watched"
    """Somebody watches a job's output as it is written."""
    WRITTEN = "fleet_written"
    """A watched job has started, or has written something."""


class Doorbell(Protocol):
    """LISTEN and NOTIFY here; Redis and SQS where an architecture has them."""

    def ring(self, bell: Bell, ids: Iterable[UUID]) -> None:
        """Tell every listener, soon; returns at once."""
        ...

    def listen(self, bell: Bell, listener: Listener) -> None:
        """Have `listener` called on every ring from now on; to be called before `run`."""
        ...

    async def run(self) -> None:
        """Carry rings both ways until cancelled; reconnects for ever."""
        ...


class PostgresDoorbell:
    """NOTIFY and LISTEN on two connections of its own.

    Rings are sent in statements of their own, after the commit that they tell of: a NOTIFY inside that transaction
    would hold a lock on the whole database while it is written to disk, and so let one job commit at a time.
    """

    def __init__(self, url: str, *, application_name: str, retry_seconds: float = 0.5) -> None:
        """Connect to `url` when run; after a failure, try again every `retry_seconds`."""
        self._url = url
        self._application_name = application_name
        self._retry_seconds = retry_seconds
        self._listeners: dict[Bell, list[Listener]] = {}
        self._unsent: dict[Bell, set[UUID]] = {bell: set() for bell in Bell}
        self._something_to_send = asyncio.Event()

    def ring(self, bell: Bell, ids: Iterable[UUID]) -> None:
        """Send at the next chance, together with whatever else has gathered by then."""
        self._unsent[bell].update(ids)
        self._something_to_send.set()

    def listen(self, bell: Bell, listener: Listener) -> None:
        """Have `listener` called from `run`'s task; it must not block."""
        self._listeners.setdefault(bell, []).append(listener)

    async def run(self) -> None:
        """Carry rings until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._for_ever(self._send))
            if self._listeners:
                group.create_task(self._for_ever(self._receive))

    async def _for_ever(self, work: Callable[[AsyncConnection[Any]], Any]) -> None:
        while True:
            try:
                settings = connection_settings(self._application_name, 10)
                async with await AsyncConnection[Any].connect(self._url, **settings) as connection:
                    await work(connection)
            except (Error, OSError, TimeoutError) as error:
                log.warning("doorbell_disconnected", error=type(error).__name__)
            await asyncio.sleep(self._retry_seconds)

    async def _send(self, connection: AsyncConnection[Any]) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            for bell, ids in self._unsent.items():
                while ids:
                    # A payload may have 8,000 bytes; an id in hexadecimal has 32, and a comma.
                    batch = [ids.pop().hex for _ in range(min(len(ids), 200))]
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(10):
                            await connection.execute(
                                "SELECT pg_notify(%s, %s)", (bell.value, ",".join(batch)), prepare=True
                            )

    async def _receive(self, connection: AsyncConnection[Any]) -> None:
        for bell in self._listeners:
            await connection.execute(f"LISTEN {bell.value}")  # pyright: ignore[reportArgumentType] - an enum
        # What was rung while nobody listened is unknown.
        for bell in self._listeners:
            self._tell(bell, frozenset())
        while True:
            async for notification in connection.notifies(timeout=30):
                self._tell(Bell(notification.channel), _ids(notification.payload))
            # A peer that vanished without a word is noticed here.
            async with asyncio.timeout(10):
                await connection.execute("SELECT 1")

    def _tell(self, bell: Bell, ids: frozenset[UUID]) -> None:
        for listener in self._listeners.get(bell, ()):
            listener(ids)


def _ids(payload: str) -> frozenset[UUID]:
    """Read a payload; one that is malformed means what a lost one means."""
    with contextlib.suppress(ValueError):
        return frozenset(UUID(hex=part) for part in payload.split(",") if part)
    return frozenset()
