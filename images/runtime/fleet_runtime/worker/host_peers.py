"""The workers of one host, who must all be done before the host may go."""

import asyncio
import fcntl
import os
from pathlib import Path

import structlog

log = structlog.get_logger()

_RETRY_SECONDS = 0.2


class HostPeers:
    """A lock on a folder that the host's workers all see, such as the one of sandboxd's socket.

    Each holds it shared while it may have jobs, and the kernel releases it of one that dies; who gets it alone is the
    last. Nothing is written, so a folder that is mounted read-only will do.
    """

    def __init__(self, folder: Path) -> None:
        """Join: from now on no other worker of the host is the last."""
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        except OSError as error:
            log.warning("host_peers_not_seen", folder=str(folder), reason=error.strerror)

    def leave(self) -> None:
        """Say that this worker has no jobs any more."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    async def all_left(self) -> None:
        """Return when no worker of the host has jobs; this one must have left."""
        # The kernel tells nobody that a lock is free, but by a call that cannot be cancelled.
        while self._descriptor is not None and not self._alone(self._descriptor):  # noqa: ASYNC110
            await asyncio.sleep(_RETRY_SECONDS)

    def close(self) -> None:
        """Leave for good."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @staticmethod
    def _alone(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return True
