"""A lock between processes that a crash releases: the kernel drops it with its holder."""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import UserFacingError


@contextmanager
def held(
    path: Path, *, waiting: Callable[[], None] | None = None, busy: UserFacingError | None = None
) -> Generator[None]:
    """Hold the lock at `path`.

    When another process has it, raise `busy` if that is given, else call `waiting` once and wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if busy is not None:
                raise busy from None
            if waiting is not None:
                waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
