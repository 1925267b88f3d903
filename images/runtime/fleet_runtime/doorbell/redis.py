"""The doorbell over Redis, by publish and subscribe.

Of what Redis has, publishing loses least for least: a ring reaches every process at once, as cancels and ends must; it
is kept nowhere, so that a Redis that nobody reads stays empty; and who comes back only has to look at everything. A
list or a stream would keep rings, but hand each to one reader, and grow where nobody reads.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from fleet_runtime.doorbell import Bell
from fleet_runtime.doorbell.broadcast import BroadcastDoorbell
from fleet_runtime.doorbell.rings import Failures, read, written

_IDS_PER_MESSAGE = 500
_ANSWER_SECONDS = 5.0
_QUIET_SECONDS = 15.0
"""After so long without a message Redis is asked whether it is still there: a peer that vanished says nothing."""
_LONGEST_RETRY_SECONDS = 2.0


class RedisDoorbell(BroadcastDoorbell["Redis"]):
    """PUBLISH and SUBSCRIBE on two connections, on channels named after the fleet."""

    def __init__(self, url: str, *, fleet: str, retry_seconds: float = 0.5, failures: Failures | None = None) -> None:
        """Connect to `url` when run. Fleets that share a Redis hear only the rings of their own `fleet`."""
        super().__init__(
            doorbell="redis",
            retry_seconds=retry_seconds,
            longest_retry_seconds=max(retry_seconds, _LONGEST_RETRY_SECONDS),
            failures=failures or Failures(),
        )
        self._url = url
        self._channels = {bell: f"{fleet}.{bell.value}" for bell in Bell}
        self._bells = {channel.encode(): bell for bell, channel in self._channels.items()}

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator["Redis"]:
        # Retries are made by the caller, where listeners can be told of them.
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
            yield client

    async def _send(self, connection: "Redis") -> None:
        # Whether Redis can be had shows now, and not with the first ring.
        await connection.ping()
        while True:
            batch = await self._rings.take(_IDS_PER_MESSAGE)
            try:
                await connection.publish(self._channels[batch.bell], written(batch.ids))
            except BaseException:
                self._rings.put_back(batch)
                raise

    async def _receive(self, connection: "Redis") -> None:
        async with connection.pubsub() as subscription:
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
