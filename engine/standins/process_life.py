"""Ends a plugin with its engine.

The engine ends its plugins when it stops in good order. After a kill -9 of the engine they would go on, and a half
done create would race with the next run's repair. So a thread waits for the parent's end and exits at once.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable


def exit_with_parent(stop: Callable[[], None]) -> None:
    """Call `stop` and exit as soon as the process that started this one is gone."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent, stop), name="parent-watch", daemon=True).start()


def exit_now(stop: Callable[[], None]) -> None:
    """Call `stop` and exit without waiting for threads: a request under way would hold the process up."""
    with contextlib.suppress(Exception):
        stop()
    os._exit(0)


def _watch(parent: int, stop: Callable[[], None]) -> None:
    try:
        descriptor = os.pidfd_open(parent)
    except (AttributeError, OSError):
        # No pidfd on this system, or the parent went meanwhile: being handed to another parent shows the end.
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(0.5)
    else:
        select.select([descriptor], [], [])
    exit_now(stop)
