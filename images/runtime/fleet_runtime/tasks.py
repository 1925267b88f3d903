"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_SECONDS = 5.0
"""Longer than what a task does on its way out, which the next cancellation would cut short."""


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks, and return when all have ended; what they raise is dropped.

    A task that goes on is cancelled again: a cancellation is lost where a library catches it, and in Python 3.11 where
    `asyncio.wait_for` is cancelled in the moment in which what it waits for happens (CPython issue 86296).
    """
    all_ = set(tasks)
    pending = {task for task in all_ if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
    for task in all_:
        if not task.cancelled():
            # Looked at, so that nothing is logged of it as never retrieved.
            task.exception()
