"""Holding a stream back where it comes as messages, and not from a transport of asyncio's."""

import asyncio


class Flow:
    """What a StreamReader knows of the transport that fills it: that it can be held."""

    def __init__(self) -> None:
        """It flows."""
        self._open = asyncio.Event()
        self._open.set()

    def pause_reading(self) -> None:
        """Hold it; the reader calls this where it has too much."""
        self._open.clear()

    def resume_reading(self) -> None:
        """Let it flow again."""
        self._open.set()

    async def wait(self) -> None:
        """Return when it flows."""
        await self._open.wait()
