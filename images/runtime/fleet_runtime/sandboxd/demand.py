"""How many sandboxes are worth having ready: so many that a crowd of jobs leaves half of them. And how fast."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

FALL_SECONDS = 60.0
"""After so long in which as many would have done, one less is wanted."""
MISS_STEP = 2
_STARTS_AT_ONCE = 3
_SPARE_SHARE = 1 / 8
"""Of the host's memory: with less available, what waits for jobs must not become more."""
_MEMORY = Path("/proc/meminfo")


def starts_at_once(waiting: int, *, shared: bool, processors: int = os.cpu_count() or 1) -> int:
    """Return how many sandboxes to make at once while so many jobs wait for one.

    Making one keeps a processor busy for longer than a short job does, so those for later leave half of this host's to
    the jobs that run. A `shared` stock (backend.py) is not made by this host.
    """
    ahead = _STARTS_AT_ONCE if shared else processors // 2
    return min(_STARTS_AT_ONCE, max(1, waiting, ahead))


def memory_is_spare() -> bool:
    """Say whether this host has memory for more sandboxes than its templates ask for."""
    try:
        figures = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        total, available = (int(figures[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return False
    return available > total * _SPARE_SHARE


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Demand:
    """Rises by one whenever a job leaves fewer than half, by more when one finds none, and falls slowly.

    Jobs that come at random come in crowds, each as likely as half of it squared. So a number of which half is used up
    once in a minute is used up whole far more rarely than in a thousand jobs, without knowing how often they come, nor
    how long one takes to make.
    """

    def __init__(
        self,
        least: int,
        most: int,
        clock: Callable[[], float] = _loop_time,
        spare: Callable[[], bool] = memory_is_spare,
    ) -> None:
        """Want `least`, and never more than `most`; `clock` is in seconds, and `spare` is asked before a rise."""
        self._least, self._most = least, most
        self._clock, self._spare = clock, spare
        self._wanted = least
        self._needed_at = clock()

    @property
    def wanted(self) -> int:
        """How many should wait now."""
        fallen = int((self._clock() - self._needed_at) / FALL_SECONDS)
        if fallen:
            self._needed_at += fallen * FALL_SECONDS
            self._wanted = max(self._least, self._wanted - fallen)
        return self._wanted

    def took(self, left: int) -> None:
        """Note that a job took one, and how many that left."""
        if 2 * left < self.wanted:
            self._rise(1)

    def missed(self) -> None:
        """Note that a job found none."""
        self._rise(MISS_STEP)

    def _rise(self, step: int) -> None:
        risen = min(self._most, self.wanted + step)
        # What is wanted anyway is still needed, whether or not there is memory for more.
        self._needed_at = self._clock()
        if risen > self._wanted and self._spare():
            self._wanted = risen
