"""Reading a request's body: before it is parsed, its size, its time and the number of large ones are bounded."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import ClientDisconnect, Request

from fleet_runtime.api.problems import Problem, invalid, too_large, too_slow, unavailable

MAXIMUM_BODY_BYTES = 40 * 1024 * 1024
"""16 MiB of files with base64's third, or as text with half of it escaped, and what else a job may have."""

_LARGE_BYTES = 1024 * 1024
_READ_SECONDS = 60.0
_TURN_SECONDS = 10.0
"""How long a large body waits for its turn."""
_STALL_SECONDS = 5.0
_MINIMUM_BYTES_PER_SECOND = 256 * 1024
"""A large body that comes more slowly, after the first seconds, gives up its turn: others wait for it."""


class BodyReader:
    """Reads bodies. Those above a megabyte take turns, so that a few clients cannot fill the process's memory."""

    def __init__(self, large_at_once: int) -> None:
        """Hold at most this many large bodies."""
        self._large = asyncio.Semaphore(large_at_once)

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncGenerator[bytes]:
        """Give the whole body while the context lasts; raises Problem (408, 413, 503)."""
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > MAXIMUM_BODY_BYTES:
            raise _too_large()
        async with contextlib.AsyncExitStack() as stack:
            chunks: list[bytes] = []
            size = 0
            turn: float | None = None
            now = asyncio.get_running_loop().time
            patience = _READ_SECONDS
            try:
                async with asyncio.timeout(_READ_SECONDS) as limit:
                    async for chunk in request.stream():
                        size += len(chunk)
                        if size > MAXIMUM_BODY_BYTES:
                            raise _too_large()
                        if size > _LARGE_BYTES:
                            if turn is None:
                                limit.reschedule(None)
                                await self._take_turn(stack)
                                turn = now()
                            patience = _STALL_SECONDS + (size - _LARGE_BYTES) / _MINIMUM_BYTES_PER_SECOND
                            limit.reschedule(turn + patience)
                        chunks.append(chunk)
            except TimeoutError:
                raise too_slow(round(patience)) from None
            except ClientDisconnect:
                raise invalid([("body", "ended early")]) from None
            yield b"".join(chunks)

    async def _take_turn(self, stack: contextlib.AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await stack.enter_async_context(self._large)
        except TimeoutError:
            raise unavailable("too many large requests are being read; try again") from None


def _too_large() -> Problem:
    return too_large("body", f"more than {MAXIMUM_BODY_BYTES} bytes")
