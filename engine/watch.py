"""Asks the place why something takes long, and tells what is new."""

import time
from collections.abc import Callable

from engine.errors import UserFacingError
from engine.report import Report

_FIRST_SECONDS = 8.0  # most pods run by then, and what is told sooner is often over when it is read
_EVERY_SECONDS = 5.0


class Watch:
    """Called about every second while the engine works."""

    def __init__(
        self, troubles: Callable[[], str], report: Report, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`troubles` says in lines what keeps the fleet from running; a place that does not answer says nothing."""
        self._troubles = troubles
        self._report = report
        self._clock = clock
        self._next = clock() + _FIRST_SECONDS
        self._said: set[str] = set()

    def _new(self) -> list[str]:
        try:
            lines = self._troubles().splitlines()
        except UserFacingError:
            return []
        return [line for line in lines if line not in self._said]

    def tick(self) -> None:
        """Tell what has not been told, if it is time to look."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + _EVERY_SECONDS
        for line in self._new():
            self._said.add(line)
            self._report(f"  {line}")

    def unsaid(self) -> list[str]:
        """What is wrong now and was not told yet."""
        return self._new()
