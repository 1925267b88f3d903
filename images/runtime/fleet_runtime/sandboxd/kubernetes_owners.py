"""Which claimed sandboxes are held by nobody any more, so that they may be deleted."""

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol, TypeVar

_DEAD_SECONDS = 30.0
"""So long a worker must have been seen dead without a break. After a time in which the database was away everybody
looks dead until the next heartbeat, 5 s at most."""
_USED_SECONDS = 10.0
"""A worker that lives deletes a pod within a second of its end. One whose worker dies ends too: its input is closed."""


class Held(Protocol):
    """A pod that may be claimed, or a claim."""

    @property
    def uid(self) -> str:
        """What tells it from all others."""
        ...

    @property
    def owner(self) -> str | None:
        """The worker that holds it."""
        ...

    @property
    def used(self) -> bool:
        """Whether its sandbox has ended."""
        ...


H = TypeVar("H", bound=Held)


class Owners:
    """Judges by the heartbeats that workers leave in the database: no worker may read the others' own pods."""

    def __init__(
        self,
        worker_id: str,
        alive: Callable[[Collection[str]], Awaitable[frozenset[str] | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Be the owner of this name; `alive` says which of some live, None where that is not known just now."""
        self._me = worker_id
        self._alive = alive
        self._clock = clock
        self._missing_since: dict[str, float] = {}
        self._used_since: dict[str, float] = {}

    async def abandoned(self, pods: Collection[H]) -> list[H]:
        """Return what is claimed by others that nobody will come back for."""
        now = self._clock()
        claimed = [pod for pod in pods if pod.owner not in (None, self._me)]
        self._used_since = {pod.uid: self._used_since.get(pod.uid, now) for pod in claimed if pod.used}
        dead = await self._dead({pod.owner for pod in claimed if pod.owner is not None}, now)
        return [
            pod for pod in claimed if pod.owner in dead or now - self._used_since.get(pod.uid, now) >= _USED_SECONDS
        ]

    async def _dead(self, owners: Collection[str], now: float) -> frozenset[str]:
        predecessors = frozenset(owner for owner in owners if _place(owner) == _place(self._me))
        others = [owner for owner in owners if owner not in predecessors]
        alive = await self._alive(others) if others else frozenset[str]()
        if alive is None:
            self._missing_since.clear()
            return predecessors
        self._missing_since = {owner: self._missing_since.get(owner, now) for owner in others if owner not in alive}
        missing = frozenset(owner for owner, since in self._missing_since.items() if now - since >= _DEAD_SECONDS)
        return predecessors | missing


def _place(worker_id: str) -> str:
    """Return the pod that a worker runs in: its process adds a part of its own, and a pod runs one at a time."""
    return worker_id.rpartition("-")[0]
