"""What a doorbell does whatever carries it: gathers rings until they are sent, tells listeners, and never gives up."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Never
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from fleet_runtime.doorbell import Bell, Listener

log = structlog.get_logger()

MOST_GATHERED = 2_000
"""Unsent ids of one bell. Above it they are forgotten and everybody is told to look at everything: a carrier that is
away for an hour must not fill the memory of those who ring."""


@dataclass(frozen=True)
class Batch:
    """Rings that go out together."""

    bell: Bell
    template: str | None
    ids: frozenset[UUID]
    """None of them: look at everything."""


@dataclass
class _Gathered:
    ids: set[UUID] = field(default_factory=set[UUID])
    everything: bool = False


class Rings:
    """The rings of one process, those that it has still to send and those that it has heard."""

    def __init__(self) -> None:
        """Begin with none."""
        self._listeners: dict[Bell, list[Listener]] = {}
        self._unsent: dict[tuple[Bell, str | None], _Gathered] = {}
        self._something_to_send = asyncio.Event()

    def gather(self, bell: Bell, ids: Iterable[UUID], template: str | None = None) -> None:
        """Keep rings until they are taken; with no id, one that says to look at everything."""
        gathered = self._unsent.setdefault((bell, template), _Gathered())
        wanted = set(ids)
        gathered.everything |= not wanted
        gathered.ids |= wanted
        if len(gathered.ids) > MOST_GATHERED:
            gathered.everything = True
        if gathered.everything:
            gathered.ids.clear()
        self._something_to_send.set()

    async def take(self, most: int) -> Batch:
        """Wait for rings, and take up to `most` of one bell and one template."""
        while not self._unsent:
            self._something_to_send.clear()
            await self._something_to_send.wait()
        (bell, template), gathered = next(iter(self._unsent.items()))
        del self._unsent[bell, template]
        ids = frozenset(gathered.ids.pop() for _ in range(min(most, len(gathered.ids))))
        if gathered.ids:
            # Behind the others: one bell that never falls silent must not keep the rest waiting.
            self._unsent[bell, template] = gathered
        return Batch(bell, template, ids)

    def put_back(self, batch: Batch) -> None:
        """Keep rings that could not be sent for the next attempt."""
        self.gather(batch.bell, batch.ids, batch.template)

    def listen(self, bell: Bell, listener: Listener) -> None:
        """Have `listener` called by `tell`; it must not block."""
        self._listeners.setdefault(bell, []).append(listener)

    @property
    def awaited(self) -> tuple[Bell, ...]:
        """The bells that somebody here listens to."""
        return tuple(self._listeners)

    def tell(self, bell: Bell, ids: frozenset[UUID]) -> None:
        """Tell the listeners of a bell."""
        for listener in self._listeners.get(bell, ()):
            listener(ids)

    def tell_all(self) -> None:
        """Tell every listener to look at everything: what was rung while nobody listened is unknown."""
        for bell in self._listeners:
            self.tell(bell, frozenset())


class Failures:
    """What went wrong with a doorbell, in the metrics of the process that has it."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the counter; without a registry nobody reads it."""
        self._counter = Counter(
            "doorbell_failures_total",
            "Failures of the doorbell, after each of which it tries again. A lost ring costs at most one poll.",
            ("doorbell", "reason"),
            registry=registry or CollectorRegistry(),
        )

    def count(self, doorbell: str, error: BaseException) -> None:
        """Count one."""
        self._counter.labels(doorbell, type(error).__name__).inc()


async def for_ever(
    work: Callable[[], Awaitable[None]], *, doorbell: str, failures: Failures, retry_seconds: float, longest: float
) -> Never:
    """Do `work` again whenever it ends or fails, whatever the failure: no fault of a carrier may end the process.

    Waits `retry_seconds` before each new attempt, and up to `longest` while one after the other fails at once.
    """
    delay, clock = retry_seconds, asyncio.get_running_loop().time
    while True:
        begun = clock()
        try:
            await work()
        except Exception as error:
            failures.count(doorbell, error)
            log.warning("doorbell_disconnected", doorbell=doorbell, error=type(error).__name__)
        delay = retry_seconds if clock() - begun > longest else min(longest, delay * 2)
        await asyncio.sleep(delay * random.uniform(0.75, 1.0))  # noqa: S311


def written(ids: Iterable[UUID]) -> str:
    """Ids as a payload: 32 hexadecimal digits each, and a comma between them."""
    return ",".join(id_.hex for id_ in ids)


def read(payload: str) -> frozenset[UUID]:
    """Read a payload; one that is malformed means what a lost one means, so look at everything."""
    with contextlib.suppress(ValueError):
        return frozenset(UUID(hex=part) for part in payload.split(",") if part)
    return frozenset()
