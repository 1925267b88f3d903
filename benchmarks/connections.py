"""Kept-alive connections that take next to nothing of the processors that are being measured.

A request is bytes made once; of an answer only what is needed is read: about 30 µs a request, where an HTTP library
takes as long as the API itself.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

ANSWER_SECONDS = 60.0
_LENGTH = b"content-length:"


def request(method: str, path: str, key: str, body: dict[str, Any] | None = None, *, wait: int | None = None) -> bytes:
    """Return a whole request; `wait` is for how many seconds the answer may wait for the job's end."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {key}"]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    if wait is not None:
        lines.append(f"prefer: wait={wait}")
    return "\r\n".join([*lines, "", ""]).encode() + content


class Connection(asyncio.Protocol):
    """One connection, with one request at a time on it."""

    def __init__(self) -> None:
        """Begin unconnected."""
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @property
    def open(self) -> bool:
        """Whether the other side has not ended it, as servers do with connections that nobody uses."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, whole: bytes) -> tuple[int, bytes]:
        """Send a request; returns the status and the body. Raises ConnectionError or TimeoutError."""
        if self._transport is None:
            raise ConnectionResetError("the API closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(whole)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._answer

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Gather an answer until its length is there."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) >= length and self._answer is not None and not self._answer.done():
            self._buffer = b""
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(f"the API closed the connection: {exc or 'its end'}"))


async def connect(port: int) -> Connection:
    """Open one to this machine."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


class Connections:
    """As many as are in use at once; what was given back is used again."""

    def __init__(self, port: int) -> None:
        """Open none yet."""
        self._port = port
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[Connection]:
        """Take one that is open."""
        while self._idle:
            found = self._idle.pop()
            if found.open:
                break
        else:
            found = await connect(self._port)
        try:
            yield found
        finally:
            self._idle.append(found)

    def close(self) -> None:
        """End those that are not in use."""
        for each in self._idle:
            each.close()
