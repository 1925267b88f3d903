"""An honest estimate while Go compiles: by source bytes of the packages that are left, at the pace so far."""

import time
from collections.abc import Callable, Mapping


def words(seconds: float) -> str:
    """A duration as people say it, rounded to what an estimate is worth."""
    if seconds < 45:
        return f"{max(5, round(seconds / 5) * 5)} s"
    return f"{max(1, round(seconds / 60))} min"


class BuildProgress:
    """Counts compiled packages against what has to be compiled.

    Go compiles a package's bytes at a fairly even pace, so bytes predict better than the number of packages. The link
    at the end is estimated apart, because no package stands for it.
    """

    LINK_SHARE = 0.06  # measured: 10 s of 170 s on two cores

    def __init__(self, sizes: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        """`sizes` are source bytes by import path, of the packages that are not in Go's cache."""
        self._left = dict(sizes)
        self._total = sum(sizes.values())
        self._count = len(sizes)
        self._clock = clock
        self._start = clock()

    def compiled(self, package: str) -> None:
        """Go said that it has begun with `package`."""
        self._left.pop(package, None)

    def line(self) -> str:
        """How far it is and how long it may still take."""
        done = self._total - sum(self._left.values())
        elapsed = self._clock() - self._start
        count = f"{self._count - len(self._left)} of {self._count} packages"
        if not self._left:
            return f"  {count} compiled, linking: about {words(elapsed * self.LINK_SHARE)} left"
        if elapsed < 5 or done == 0:
            return f"  {count} compiled"
        remaining = elapsed / done * (self._total - done)
        return f"  {count} compiled, about {words(remaining + (elapsed + remaining) * self.LINK_SHARE)} left"
