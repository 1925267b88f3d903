"""How many sandboxes are worth having ready: as many as are taken while others are made."""

import math
import time
from collections import deque

_DEMAND_SECONDS = 5.0


class Demand:
    """Remembers how often sandboxes were taken of late, and how long one takes to make."""

    def __init__(self) -> None:
        """Begin with a guess."""
        self._taken: deque[float] = deque(maxlen=1000)
        self._start_seconds = 0.5

    def took(self) -> None:
        """Note that one was taken."""
        self._taken.append(time.monotonic())

    def made(self, seconds: float) -> None:
        """Note how long one took to make; the last ones weigh most."""
        self._start_seconds += 0.2 * (seconds - self._start_seconds)

    def ahead(self) -> int:
        """Return how many are taken while one is made, twice over."""
        since = time.monotonic() - _DEMAND_SECONDS
        while self._taken and self._taken[0] < since:
            self._taken.popleft()
        return math.ceil(len(self._taken) / _DEMAND_SECONDS * self._start_seconds * 2)
