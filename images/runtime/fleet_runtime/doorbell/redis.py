"""The doorbell over Redis, by publish and subscribe.

Of what Redis has, publishing loses least for least: a ring reaches every process at once, as cancels and ends must; it
is kept nowhere, so that a Redis that nobody reads stays empty; and who comes back only has to look at everything. A
list or a stream would keep rings, but hand each to one reader, and grow where nobody reads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from fleet_runtime.doorbell import Bell, Listener
from fleet_runtime.doorbell.rings import Failures, Rings, for_ever, read, written

_IDS_PER_MESSAGE = 500
_ANSWER_SECONDS = 5.0
_QUIET_SECONDS = 15.0
"""After so long without a message Redis is asked whether it is still there: a peer that vanished says nothing."""
_LONGEST_RETRY_SECONDS = 2.0


class RedisDoorbell:
    """PUBLISH and SUBSCRIBE on two connections, on channels named after the fleet."""

    def __init__(self, url: str, *, fleet: str, retry_seconds: float = 0.5, failures: Failures | None = None) -> None:
        """Connect to `url` when run. Fleets that share a Redis hear only the rings of their own `fleet`."""
        self._url = url
        self._retry_seconds = retry_seconds
        self._failures = failures or Failures()
        self._rings = Rings()
        self._channels = {bell: f"{fleet}.{bell.value}" for bell in Bell}
        self._bells = {channel.encode(): bell for bell, channel in self._channels.items()}

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

    async def _for_ever(self, work: Callable[["Redis"], Awaitable[None]]) -> None:
        async def once() -> None:
            # Retries are made here, where listeners can be told of them.
            async with Redis.from_url(
                self._url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=_ANSWER_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                socket_keepalive=True,
                # It would tell Redis its name by a command that a doorbell's user may not use.
                driver_info=None,
            ) as client:
                await work(client)

        await for_ever(
            once,
            doorbell="redis",
            failures=self._failures,
            retry_seconds=self._retry_seconds,
            longest=max(self._retry_seconds, _LONGEST_RETRY_SECONDS),
        )

    async def _send(self, client: "Redis") -> None:
        # Whether Redis can be had shows now, and not with the first ring.
        await client.ping()
        while True:
            batch = await self._rings.take(_IDS_PER_MESSAGE)
            try:
                await client.publish(self._channels[batch.bell], written(batch.ids))
            except BaseException:
                self._rings.put_back(batch)
                raise

    async def _receive(self, client: "Redis") -> None:
        async with client.pubsub() as subscription:
            await subscription.subscribe(*(self._channels[bell] for bell in self._rings.awaited))
            asked = False
            while True:
                message = await subscription.get_message(timeout=_ANSWER_SECONDS if asked else _QUIET_SECONDS)
                if message is not None:
                    asked = False
                    self._heard(message)
                elif asked:
                    raise TimeoutError("Redis gave no answer")
                else:
                    asked = True
                    await subscription.ping()

    def _heard(self, message: dict[str, Any]) -> None:
        bell = self._bells.get(message["channel"] or b"")
        if bell is None:
            return
        if message["type"] == "subscribe":
            # The first of this connection, or of one that the client made anew: what was rung before is unknown.
            self._rings.tell(bell, frozenset())
        elif message["type"] == "message":
            self._rings.tell(bell, read(bytes(message["data"]).decode(errors="replace")))
