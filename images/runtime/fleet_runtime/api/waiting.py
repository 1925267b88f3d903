"""Waiting for a job's end: a ring wakes at once, a look at the table once a second finds what no ring told of."""

import asyncio
import contextlib
import re
from collections.abc import Generator, Iterable
from uuid import UUID

from fleet_runtime.database import DatabaseAway
from fleet_runtime.store.results import Results

MAXIMUM_WAIT_SECONDS = 60
_PREFERENCE = re.compile(r"""\s*wait\s*=\s*"?(\d+)"?\s*(?:;.*)?""", re.IGNORECASE)


def wait_preference(values: Iterable[str]) -> int | None:
    """Return the seconds that `Prefer: wait=N` asks for, 60 at most; None where it does not, or not in that form.

    An unknown or malformed preference is ignored, as RFC 7240 has it. Of several, the first counts.
    """
    for value in values:
        for preference in value.split(","):
            found = _PREFERENCE.fullmatch(preference)
            if found is not None:
                # Python refuses to read a number of thousands of digits.
                digits = found[1].lstrip("0")
                return min(int(digits[:9] or "0"), MAXIMUM_WAIT_SECONDS)
    return None


class Waiters:
    """Everyone who waits for a job's end in this process."""

    def __init__(self, results: Results, *, poll_seconds: float = 1.0) -> None:
        """Look at the table every `poll_seconds` while anyone waits."""
        self._results = results
        self._poll_seconds = poll_seconds
        self._events: dict[UUID, set[asyncio.Event]] = {}
        self._look_now = asyncio.Event()
        self._closed = False

    @contextlib.contextmanager
    def watch(self, id_: UUID) -> Generator[asyncio.Event]:
        """Give an event that is set when the job may have ended."""
        event = asyncio.Event()
        if self._closed:
            event.set()
        events = self._events.setdefault(id_, set())
        events.add(event)
        try:
            yield event
        finally:
            events.discard(event)
            if not events and self._events.get(id_) is events:
                del self._events[id_]

    @property
    def closed(self) -> bool:
        """Whether nobody is to wait any more."""
        return self._closed

    def rung(self, ids: frozenset[UUID]) -> None:
        """Wake those who wait for these jobs; with none given, look at the table soon."""
        if not ids:
            self._look_now.set()
        for id_ in ids:
            for event in self._events.get(id_, ()):
                event.set()

    def close(self) -> None:
        """Send everyone home: the process is stopping, and their jobs go on without them."""
        self._closed = True
        for events in self._events.values():
            for event in events:
                event.set()

    async def run(self) -> None:
        """Look at the table while anyone waits, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._look_now.wait()
            self._look_now.clear()
            if self._events:
                with contextlib.suppress(DatabaseAway):
                    self.rung_if_any(await self._results.ended(list(self._events)))

    def rung_if_any(self, ids: Iterable[UUID]) -> None:
        """Wake those who wait for these jobs."""
        found = frozenset(ids)
        if found:
            self.rung(found)
