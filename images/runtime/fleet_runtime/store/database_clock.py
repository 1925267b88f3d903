"""Whether the database's clock can be believed just now, as far as leases are concerned.

Leases are times on the database's clock. Where that clock jumps forward, or the database was away for longer than a
lease, every lease looks expired at once although whoever holds it still works. Its progress is therefore held against
this process's monotonic clock, and after a jump or an absence whoever works gets the time for a renewal first.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

_TOLERANCE_SECONDS = 2.0
"""How much the two clocks may drift apart between two looks, a slow answer included."""


class DatabaseClock:
    """Follows the database's clock from one sweep to the next."""

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Trust nothing for `grace_seconds` after the start, a jump or an absence."""
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._seen: tuple[float, datetime] | None = None
        self._trusted_from = 0.0
        self.went_back = True
        """Whether times in the future may have been written before the clock was set back; so too at the start."""

    def away(self) -> None:
        """Note that the database did not answer."""
        self._seen = None

    def latest(self, asked: float, now: datetime) -> datetime | None:
        """Return what the database's clock may show at most during this sweep; None if no lease may be judged.

        `now` is what it showed when it was asked, and `asked` the monotonic time, in seconds, before the question.
        """
        arrived = self._clock()
        if self._seen is None:
            self._trusted_from = arrived + self._grace_seconds
        else:
            before, shown = self._seen
            progress = (now - shown).total_seconds()
            # The answer was given at some moment between the question and its arrival.
            if not asked - before - _TOLERANCE_SECONDS <= progress <= arrived - before + _TOLERANCE_SECONDS:
                self._trusted_from = arrived + self._grace_seconds
                self.went_back = self.went_back or progress < asked - before
        self._seen = (arrived, now)
        if arrived < self._trusted_from:
            return None
        return now + timedelta(seconds=_TOLERANCE_SECONDS)
