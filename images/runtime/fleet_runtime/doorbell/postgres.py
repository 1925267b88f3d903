"""The doorbell over PostgreSQL: nothing to run beside the database that the jobs are in anyway."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from fleet_runtime.database import connection_settings
from fleet_runtime.doorbell import Bell, Listener
from fleet_runtime.doorbell.rings import Failures, Rings, for_ever, read, written

_IDS_PER_PAYLOAD = 200
"""A payload may have 8,000 bytes."""


class PostgresDoorbell:
    """NOTIFY and LISTEN on two connections of its own.

    Rings are sent in statements of their own, after the commit that they tell of: a NOTIFY inside that transaction
    would hold a lock on the whole database while it is written to disk, and so let one job commit at a time.
    """

    def __init__(
        self, url: str, *, application_name: str, retry_seconds: float = 0.5, failures: Failures | None = None
    ) -> None:
        """Connect to `url` when run; after a failure, try again every `retry_seconds`."""
        self._url = url
        self._application_name = application_name
        self._retry_seconds = retry_seconds
        self._failures = failures or Failures()
        self._rings = Rings()

    def ring(self, bell: Bell, ids: Iterable[UUID], template: str | None = None) -> None:
        """Send at the next chance, together with whatever else has gathered by then."""
        del template
        self._rings.gather(bell, ids)

    def listen(self, bell: Bell, listener: Listener) -> None:
        """Have `listener` called from `run`'s task; it must not block."""
        self._rings.listen(bell, listener)

    async def run(self) -> None:
        """Carry rings until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._for_ever(self._send))
            if self._rings.awaited:
                group.create_task(self._for_ever(self._receive))

    async def _for_ever(self, work: Callable[[AsyncConnection[Any]], Awaitable[None]]) -> None:
        async def once() -> None:
            settings = connection_settings(self._application_name, 10)
            async with await AsyncConnection[Any].connect(self._url, **settings) as connection:
                await work(connection)

        await for_ever(
            once,
            doorbell="postgres",
            failures=self._failures,
            retry_seconds=self._retry_seconds,
            longest=self._retry_seconds,
        )

    async def _send(self, connection: AsyncConnection[Any]) -> None:
        while True:
            batch = await self._rings.take(_IDS_PER_PAYLOAD)
            try:
                async with asyncio.timeout(10):
                    await connection.execute(
                        "SELECT pg_notify(%s, %s)", (batch.bell.value, written(batch.ids)), prepare=True
                    )
            except BaseException:
                self._rings.put_back(batch)
                raise

    async def _receive(self, connection: AsyncConnection[Any]) -> None:
        for bell in self._rings.awaited:
            await connection.execute(f"LISTEN {bell.value}")  # pyright: ignore[reportArgumentType] - an enum
        self._rings.tell_all()
        while True:
            async for notification in connection.notifies(timeout=30):
                self._rings.tell(Bell(notification.channel), read(notification.payload))
            # A peer that vanished without a word is noticed here.
            async with asyncio.timeout(10):
                await connection.execute("SELECT 1")
