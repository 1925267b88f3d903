"""Everyone in this process who follows a job's output: who may, and when there is something new for whom."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from uuid import UUID

from fleet_runtime.api.problems import Problem, unavailable
from fleet_runtime.database import DatabaseAway
from fleet_runtime.doorbell import Bell, Doorbell
from fleet_runtime.store.live_output import LiveOutput, Written

WATCH_SECONDS = 30.0
"""How long workers publish a job's output after an API last said that it is followed."""
_RENEW_SECONDS = 10.0
_POLL_SECONDS = 1.0
_GATHER_SECONDS = 0.02
"""Rings that come together cost one statement."""


@dataclass(eq=False)
class Follower:
    """One stream's place at the desk."""

    id: UUID
    news: asyncio.Event = field(default_factory=asyncio.Event)
    written: Written | None = None
    """Where the job is; None before the first look."""
    gone: bool = False
    """Whether there is no such job any more."""


class OutputDesk:
    """Looks at all followed jobs together: at once when a bell rings, else once a second."""

    def __init__(self, output: LiveOutput, doorbell: Doorbell, *, streams: int, streams_per_tenant: int) -> None:
        """Have at most so many streams at once, and so many of one tenant."""
        self.closed = False
        self._output = output
        self._doorbell = doorbell
        self._streams = streams
        self._streams_per_tenant = streams_per_tenant
        self._tenants: Counter[str] = Counter()
        self._followers: dict[UUID, set[Follower]] = {}
        self._rung: set[UUID] = set()
        self._renewed_at: dict[UUID, float] = {}
        self._look_now = asyncio.Event()

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._tenants.total()

    @contextlib.contextmanager
    def place(self, tenant: str) -> Generator[None]:
        """Take one of the places for streams; raises Problem (429, 503) where there is none."""
        if self.closed:
            raise unavailable("The service is stopping; another process, or this one restarted, will answer.")
        if self._tenants[tenant] >= self._streams_per_tenant:
            raise _too_many(self._streams_per_tenant)
        if self.taken >= self._streams:
            raise unavailable(f"{self._streams} outputs are followed here, which is the limit; try again.")
        self._tenants[tenant] += 1
        try:
            yield
        finally:
            self._tenants[tenant] -= 1
            if not self._tenants[tenant]:
                del self._tenants[tenant]

    @contextlib.contextmanager
    def follow(self, id_: UUID) -> Generator[Follower]:
        """Be told of a job's news while the context lasts."""
        follower = Follower(id_)
        self._followers.setdefault(id_, set()).add(follower)
        self.rung(frozenset({id_}))
        try:
            yield follower
        finally:
            self._followers[id_].discard(follower)
            if not self._followers[id_]:
                del self._followers[id_]
                self._renewed_at.pop(id_, None)

    def rung(self, ids: frozenset[UUID]) -> None:
        """Look at those of these jobs that are followed; with none given, at all of them."""
        followed = self._followers.keys() & ids if ids else self._followers.keys()
        if followed:
            self._rung |= followed
            self._look_now.set()

    def close(self) -> None:
        """Send everyone home: the process is stopping."""
        self.closed = True
        for followers in self._followers.values():
            for follower in followers:
                follower.news.set()

    async def run(self) -> None:
        """Look until cancelled."""
        all_looked_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, all_looked_at + _POLL_SECONDS - time.monotonic())):
                    await self._look_now.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
            ids = self._rung & self._followers.keys()
            # By the clock: rings of some that never cease must not keep others, whose ring was lost, waiting.
            if time.monotonic() - all_looked_at >= _POLL_SECONDS:
                ids, all_looked_at = set(self._followers), time.monotonic()
            self._look_now.clear()
            self._rung.clear()
            if ids:
                with contextlib.suppress(DatabaseAway):
                    await self._renew()
                    await self._look(ids)

    async def _renew(self) -> None:
        now = time.monotonic()
        due = [id_ for id_ in self._followers if now - self._renewed_at.get(id_, float("-inf")) > _RENEW_SECONDS]
        if due:
            fresh = [id_ for id_ in due if id_ not in self._renewed_at]
            await self._output.watch(due, WATCH_SECONDS)
            self._renewed_at.update({id_: now for id_ in due if id_ in self._followers})
            if fresh:
                self._doorbell.ring(Bell.WATCHED, fresh)

    async def _look(self, ids: Collection[UUID]) -> None:
        found = {written.id: written for written in await self._output.look(ids)}
        for id_ in ids:
            for follower in self._followers.get(id_, ()):
                if follower.written != found.get(id_) or id_ not in found:
                    follower.written, follower.gone = found.get(id_), id_ not in found
                    follower.news.set()


def _too_many(limit: int) -> Problem:
    return Problem(
        429,
        "too-many-streams",
        "Too many outputs are followed",
        f"You follow {limit} outputs at once, which is the limit. Close one of them, or try again when one has ended.",
        headers={"Retry-After": "5"},
    )
