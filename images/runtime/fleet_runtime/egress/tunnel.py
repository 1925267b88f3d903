"""An opaque TLS connection through the proxy: its first message is looked at, the rest is counted and passed on."""

import asyncio
import contextlib
from collections.abc import Callable

from fleet_runtime.egress.client_hello import LONGEST_BYTES, ClientHelloError, server_name
from fleet_runtime.egress.dialer import Streams

FIRST_MESSAGE_SECONDS = 10.0
IDLE_SECONDS = 300.0
"""A model may think for minutes before it answers."""
_CHUNK_BYTES = 64 * 1024

Count = Callable[[int, str], None]


async def client_hello(reader: asyncio.StreamReader, early: bytes, host: str) -> bytes:
    """Read the client's first message and return it, if it asks for that host; raises ClientHelloError."""
    data = early
    async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
        while (name := server_name(data)) is None:
            if len(data) > LONGEST_BYTES:
                raise ClientHelloError("the first TLS message is too long")
            more = await reader.read(_CHUNK_BYTES)
            if not more:
                raise ClientHelloError("the connection ended before the first TLS message was whole")
            data += more
    if name != host:
        raise ClientHelloError("the TLS client asks for another host than the tunnel was made to")
    return data


async def join(job: Streams, upstream: Streams, count: Count) -> None:
    """Pass bytes on in both directions until both have ended, or nothing has come for a while (TimeoutError)."""
    async with asyncio.timeout(IDLE_SECONDS) as idle:

        def passed(size: int, direction: str) -> None:
            idle.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)
            count(size, direction)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(job[0], upstream[1], "sent", passed))
                group.create_task(_pass_on(upstream[0], job[1], "received", passed))
        except* OSError:
            # Either side may end a tunnel without ceremony.
            pass


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str, passed: Count) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        passed(len(data), direction)
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
