"""Which workers that have claimed pods are dead, so that their pods may be deleted."""

import time
from collections.abc import Awaitable, Callable, Collection

_DEAD_SECONDS = 30.0
"""So long a worker must have been seen dead without a break. After a time in which the database was away everybody
looks dead until the next heartbeat, 5 s at most."""


class Owners:
    """Judges by the heartbeats that workers leave in the database: no worker may read the others' pods."""

    def __init__(self, worker_id: str, alive: Callable[[Collection[str]], Awaitable[frozenset[str] | None]]) -> None:
        """Be the owner of this name; `alive` says which of some live, None where that is not known just now."""
        self._me = worker_id
        self._alive = alive
        self._missing_since: dict[str, float] = {}

    async def dead(self, owners: Collection[str]) -> frozenset[str]:
        """Return those that will not come back for their pods."""
        predecessors = frozenset(owner for owner in owners if owner != self._me and _place(owner) == _place(self._me))
        others = [owner for owner in owners if owner != self._me and owner not in predecessors]
        alive = await self._alive(others) if others else frozenset[str]()
        if alive is None:
            self._missing_since.clear()
            return predecessors
        now = time.monotonic()
        self._missing_since = {owner: self._missing_since.get(owner, now) for owner in others if owner not in alive}
        missing = frozenset(owner for owner, since in self._missing_since.items() if now - since >= _DEAD_SECONDS)
        return predecessors | missing


def _place(worker_id: str) -> str:
    """Return the pod that a worker runs in: its process adds a part of its own, and a pod runs one at a time."""
    return worker_id.rpartition("-")[0]
