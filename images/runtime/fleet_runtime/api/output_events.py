"""A job's output as server-sent events: from what was sent so far to what is to be sent next.

The position of a stream is three numbers, the attempt and how many bytes of each output were sent of it. It is each
event's id, so a stream can go on from there in any process at any time, also once the job has ended.
"""

import asyncio
import base64
import contextlib
import json
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fleet_runtime.api.answers import shown
from fleet_runtime.api.output_desk import Follower, OutputDesk
from fleet_runtime.database import DatabaseAway
from fleet_runtime.store.live_output import STREAMS, LiveOutput, Written
from fleet_runtime.store.records import ResultOutline
from fleet_runtime.store.results import Results

KEEP_ALIVE_SECONDS = 10.0
_RETRY_MILLISECONDS = 1_000
_PART_BYTES = 64 * 1024
_POSITION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(\.end)?")


@dataclass
class Position:
    """How much of a job's output has been sent: of attempt 0 nothing can have been."""

    attempt: int = 0
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    ended: bool = False

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Read an event's id; None where it is none of ours."""
        found = _POSITION.fullmatch(text)
        if found is None:
            return None
        attempt, stdout, stderr = (int(found[number]) for number in (1, 2, 3))
        return cls(attempt, {"stdout": stdout, "stderr": stderr}, found[4] is not None)

    def restart(self, attempt: int) -> None:
        """Begin with another attempt."""
        self.attempt, self.sent = attempt, dict.fromkeys(STREAMS, 0)

    def __str__(self) -> str:
        """Return it as an event's id."""
        return f"{self.attempt}.{self.sent['stdout']}.{self.sent['stderr']}{'.end' if self.ended else ''}"


@dataclass
class OutputEvents:
    """One stream's events."""

    tenant: str
    id: UUID
    desk: OutputDesk
    output: LiveOutput
    results: Results
    allowed: Callable[[], Awaitable[bool]]
    """Asked from time to time: a key may have been revoked."""
    position: Position
    _state: tuple[str, int] | None = None

    async def events(self, stored: ResultOutline) -> AsyncGenerator[bytes]:
        """Give the events, and comments in between, until the job's end has been told."""
        yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
        if stored.status not in ("queued", "running"):
            # Cut without an `end` where the database goes away: it is taken up again from the last event.
            with contextlib.suppress(DatabaseAway):
                async for event in self._end(stored):
                    yield event
            return
        with self.desk.follow(self.id) as follower:
            asked_at = time.monotonic()
            while not self.desk.closed and not follower.gone:
                heard = await _heard(follower)
                # By the clock: a job that writes all the time must not be followed for ever with a revoked key.
                if time.monotonic() - asked_at >= KEEP_ALIVE_SECONDS:
                    if not await self._still_allowed():
                        return
                    asked_at = time.monotonic()
                if not heard:
                    yield b": keep-alive\n\n"
                    continue
                try:
                    async for event in self._news(follower):
                        yield event
                except DatabaseAway:
                    # What was not read now is read with the next news; each look that succeeds brings some.
                    follower.written = None
                if self.position.ended:
                    return

    async def _still_allowed(self) -> bool:
        try:
            return await self.allowed()
        except DatabaseAway:
            return True

    async def _news(self, follower: Follower) -> AsyncGenerator[bytes]:
        written = follower.written
        if written is None:
            return
        if written.ended:
            stored = await self.results.outline(self.tenant, self.id)
            if stored is not None:
                async for event in self._end(stored):
                    yield event
            return
        for event in self._stands(written.status, written.attempt):
            yield event
        if written.status == "running":
            async for event in self._live(written):
                yield event

    def _stands(self, status: str, attempt: int) -> list[bytes]:
        """Tell of another state, and of an attempt that makes what was sent worthless."""
        events: list[bytes] = []
        if status == "running" and attempt != self.position.attempt:
            restarts = self.position.attempt > 0
            self.position.restart(attempt)
            if restarts:
                events.append(self._event("restart", {"attempt": attempt}))
        if self._state != (status, attempt):
            self._state = (status, attempt)
            events.append(self._event("state", {"status": status, "attempt": attempt}))
        return events

    async def _live(self, written: Written) -> AsyncGenerator[bytes]:
        available = {"stdout": written.stdout_bytes, "stderr": written.stderr_bytes}
        for name in STREAMS:
            while self.position.sent[name] < available[name]:
                part = await self.output.read(self.id, written.attempt, name, self.position.sent[name])
                if not part:
                    break
                yield self._part(name, part)

    def _part(self, name: str, part: bytes) -> bytes:
        content = {"offset": self.position.sent[name], "base64": base64.b64encode(part).decode()}
        self.position.sent[name] += len(part)
        return self._event(name, content)

    async def _end(self, stored: ResultOutline) -> AsyncGenerator[bytes]:
        """Tell the rest, so that all that was sent since the last restart is the stored result's output, and the end.

        A job may end with less than it wrote: its worker may have died, and the rest with it.
        """
        lengths = {"stdout": stored.stdout_bytes, "stderr": stored.stderr_bytes}
        longer = any(self.position.sent[name] > length for name, length in lengths.items())
        if self.position.attempt != stored.attempt or longer:
            restarts = self.position.attempt > 0
            self.position.restart(stored.attempt)
            if restarts:
                yield self._event("restart", {"attempt": stored.attempt})
        for name, length in lengths.items():
            while self.position.sent[name] < length:
                part = await self.results.part(self.tenant, self.id, name, self.position.sent[name], _PART_BYTES)
                if not part:
                    # It has expired meanwhile: who asks again is told so.
                    return
                yield self._part(name, part)
        self.position.ended = True
        yield self._event("end", {key: value for key, value in shown(stored).items() if key not in lengths})

    def _event(self, kind: str, content: dict[str, Any]) -> bytes:
        return f"id: {self.position}\nevent: {kind}\ndata: {json.dumps(content)}\n\n".encode()


async def _heard(follower: Follower) -> bool:
    try:
        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
            await follower.news.wait()
    except TimeoutError:
        return False
    follower.news.clear()
    return True
