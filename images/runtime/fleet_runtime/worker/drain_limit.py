"""Until when the jobs in a worker's hands may end by themselves, once it takes no more."""

import asyncio
import math
import time
from collections.abc import Collection
from typing import Any


class DrainLimit:
    """A moment that comes nearer, but never moves away: the next notice may leave less time than the last."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long a drain may take that nobody has said anything else about."""
        self._seconds = seconds
        self._until: float | None = None
        self._changed = asyncio.Event()

    @property
    def seconds_left(self) -> float:
        """Seconds until then; infinite where jobs may take as long as they do."""
        return self._seconds if self._until is None else self._until - time.monotonic()

    def at_most(self, seconds: float | None = None) -> None:
        """Let it be over in `seconds` at the latest; None is the default, and infinity no limit of its own."""
        until = time.monotonic() + (self._seconds if seconds is None else seconds)
        self._until = until if self._until is None else min(self._until, until)
        self._changed.set()

    async def let_end(self, tasks: Collection["asyncio.Task[Any]"]) -> None:
        """Wait until all tasks have ended or the limit is over, whichever is first."""
        if self._until is None:
            self.at_most()
        while waited := {task for task in tasks if not task.done()}:
            left = self.seconds_left
            if left <= 0:
                return
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait(
                    {*waited, changed},
                    timeout=None if math.isinf(left) else left,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                changed.cancel()
