"""What the doorbells that tell everybody have in common: two connections, one to send on and one to hear on."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar
from uuid import UUID

from fleet_runtime.doorbell import Bell, Listener
from fleet_runtime.doorbell.rings import Failures, Rings, for_ever

Connection = TypeVar("Connection")


class BroadcastDoorbell(ABC, Generic[Connection]):
    """Rings reach every process that listens; the carrier says how one connects, sends and hears."""

    def __init__(
        self, *, doorbell: str, retry_seconds: float, longest_retry_seconds: float, failures: Failures
    ) -> None:
        """After a failure, try again after `retry_seconds`, later up to `longest_retry_seconds`.

        `doorbell` is the carrier's name in the log and the metrics.
        """
        self._doorbell = doorbell
        self._retry_seconds = retry_seconds
        self._longest_retry_seconds = longest_retry_seconds
        self._failures = failures
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

    @abstractmethod
    def _connected(self) -> AbstractAsyncContextManager[Connection]:
        """A connection of its own for one of the two, until it breaks."""

    @abstractmethod
    async def _send(self, connection: Connection) -> None:
        """Send what is rung, until the connection breaks; what was not sent is put back."""

    @abstractmethod
    async def _receive(self, connection: Connection) -> None:
        """Tell the listeners what is heard, until the connection breaks."""

    async def _for_ever(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        async def once() -> None:
            async with self._connected() as connection:
                await work(connection)

        await for_ever(
            once,
            doorbell=self._doorbell,
            failures=self._failures,
            retry_seconds=self._retry_seconds,
            longest=self._longest_retry_seconds,
        )
