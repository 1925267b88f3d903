"""Writing until it is written: a result waits for a database that restarts, it is not thrown away."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from fleet_runtime.database import DatabaseAway

log = structlog.get_logger()

_RETRY_SECONDS = (0.1, 2.0)

Answer = TypeVar("Answer")


async def insist(write: Callable[[], Awaitable[Answer]]) -> Answer:
    """Write until the database has taken it, and return its answer."""
    delay, longest = _RETRY_SECONDS
    while True:
        try:
            return await write()
        except DatabaseAway as error:
            log.warning("write_failed", error=str(error))
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(longest, delay * 2)
