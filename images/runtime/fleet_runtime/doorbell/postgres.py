"""The doorbell over PostgreSQL: nothing to run beside the database that the jobs are in anyway."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from fleet_runtime.database import connection_settings
from fleet_runtime.doorbell import Bell
from fleet_runtime.doorbell.broadcast import BroadcastDoorbell
from fleet_runtime.doorbell.rings import Failures, read, written

_IDS_PER_PAYLOAD = 200
"""A payload may have 8,000 bytes."""


class PostgresDoorbell(BroadcastDoorbell[AsyncConnection[Any]]):
    """NOTIFY and LISTEN on two connections of its own.

    Rings are sent in statements of their own, after the commit that they tell of: a NOTIFY inside that transaction
    would hold a lock on the whole database while it is written to disk, and so let one job commit at a time.
    """

    def __init__(
        self, url: str, *, application_name: str, retry_seconds: float = 0.5, failures: Failures | None = None
    ) -> None:
        """Connect to `url` when run; after a failure, try again every `retry_seconds`."""
        super().__init__(
            doorbell="postgres",
            retry_seconds=retry_seconds,
            longest_retry_seconds=retry_seconds,
            failures=failures or Failures(),
        )
        self._url = url
        self._application_name = application_name

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[AsyncConnection[Any]]:
        settings = connection_settings(self._application_name, 10)
        async with await AsyncConnection[Any].connect(self._url, **settings) as connection:
            yield connection

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
