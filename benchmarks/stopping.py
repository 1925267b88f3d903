"""Being told to end, or running out of time, as an exception, so that everything that was started is taken down."""

import signal
from collections.abc import Generator
from contextlib import contextmanager

_held = False
_waiting: str | int | None = None
_ending = False


def end_in_order(minutes: float | None = None) -> None:
    """Turn SIGTERM, SIGINT and, after so many minutes, the end of the time into SystemExit."""

    def told(number: int, _frame: object) -> None:
        global _waiting, _ending
        # Told once is enough: a terminal and a parent may both say it, and the second must not disturb the end.
        if _ending:
            return
        _ending = True
        why = f"stopped: it took longer than {minutes} minutes" if number == signal.SIGALRM else 128 + number
        if _held:
            _waiting = why
            return
        raise SystemExit(why)

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    signal.setitimer(signal.ITIMER_REAL, 60 * (minutes or 0))


@contextmanager
def undisturbed() -> Generator[None]:
    """Hold these back until the end of this, so that what is being made is known to whoever takes it down."""
    global _held, _waiting
    _held = True
    try:
        yield
    finally:
        _held, why, _waiting = False, _waiting, None
    if why is not None:
        raise SystemExit(why)
