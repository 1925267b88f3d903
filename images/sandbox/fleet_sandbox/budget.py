"""How much processor time all processes of a job may use together.

The kernel's own limit (RLIMIT_CPU) counts each process apart, and a job may start as many as it likes.
"""

import os
import time
from collections.abc import Callable

SHORTEST_LOOK_SECONDS = 0.02
"""How late the end may come at the most, on an idle machine."""


class CpuBudget:
    """Says when it is spent, and looks no more often than it could be."""

    def __init__(self, seconds: float, used: Callable[[], float]) -> None:
        """Begin now; `used` returns the seconds used since, by all processes of the sandbox."""
        self.seconds = seconds
        self.used = used
        self.processors = len(os.sched_getaffinity(0))
        self.next_look = 0.0
        self.look()

    def milliseconds(self) -> float:
        """Return how long until the next look."""
        return max(self.next_look - time.monotonic(), 0) * 1000 + 1

    def spent(self) -> bool:
        """Say whether it is used up, looking if it is time."""
        return time.monotonic() >= self.next_look and self.look() <= 0

    def look(self) -> float:
        """Return the seconds left; with every processor at work, they last so long at the least."""
        left = self.seconds - self.used()
        self.next_look = time.monotonic() + max(left / self.processors, SHORTEST_LOOK_SECONDS)
        return left
