"""What running jobs write, published in batches while somebody watches, and only then.

Every job's output is kept here as it comes, at most 2 MiB of it, so that one who begins to watch late sees it whole. A
job that nobody watches costs a list and no statement.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Collection, Generator

import structlog

from fleet_runtime.database import DatabaseAway
from fleet_runtime.doorbell import Bell, Doorbell
from fleet_runtime.store.claims import Attempt
from fleet_runtime.store.live_output import CHUNK_BYTES, STREAMS, Chunk, LiveOutput
from fleet_runtime.store.records import ClaimedJob

log = structlog.get_logger()

_INTERVAL_SECONDS = 0.15
"""Between two batches: short to a reader, and seven statements a second however much is written."""
_BATCH_CHUNKS = 32


class AttemptOutput:
    """What one attempt has written, and how much of it was published."""

    def __init__(self, job: ClaimedJob, changed: asyncio.Event) -> None:
        """Begin with nothing; `changed` is set when there is something to publish."""
        self.key: Attempt = (job.id, job.attempt)
        self.watched = job.watched
        self.published: dict[str, int] = dict.fromkeys(STREAMS, 0)
        self._written = {name: bytearray() for name in STREAMS}
        self._changed = changed

    def write(self, name: str, part: bytes) -> None:
        """Take a part of an output, as `Sandboxes.run` gives it."""
        self._written[name] += part
        if self.watched:
            self._changed.set()

    @property
    def unpublished(self) -> bool:
        """Whether a watcher has something to get."""
        return self.watched and any(len(self._written[name]) > self.published[name] for name in STREAMS)

    def chunks(self) -> Generator[Chunk]:
        """Give the chunks that hold what was not published yet, in order."""
        for name, written in self._written.items():
            published = self.published[name]
            if len(written) > published:
                for start in range(published - published % CHUNK_BYTES, len(written), CHUNK_BYTES):
                    part = bytes(written[start : start + CHUNK_BYTES])
                    yield Chunk(*self.key, name, start // CHUNK_BYTES, part)


class OutputPublisher:
    """The outputs of one worker's attempts."""

    def __init__(self, store: LiveOutput, doorbell: Doorbell) -> None:
        """Nothing is published before `run`."""
        self._store = store
        self._doorbell = doorbell
        self._attempts: dict[Attempt, AttemptOutput] = {}
        self._to_remove: set[Attempt] = set()
        self._changed = asyncio.Event()

    def open(self, job: ClaimedJob) -> AttemptOutput:
        """Begin to keep what an attempt writes."""
        output = self._attempts[job.id, job.attempt] = AttemptOutput(job, self._changed)
        if job.watched:
            # Who watches learns that it runs, also where it writes nothing for long.
            self._doorbell.ring(Bell.WRITTEN, [job.id])
        return output

    def close(self, key: Attempt) -> None:
        """Forget an attempt whose end has been written: its result says all."""
        output = self._attempts.pop(key)
        if any(output.published.values()):
            self._remove(key)

    def watch(self, held: Collection[Attempt], watched: Collection[Attempt]) -> None:
        """Publish those of the held attempts that are watched, and the others no longer."""
        for key in held:
            output = self._attempts.get(key)
            if output is None:
                continue
            if output.watched and key not in watched:
                output.published = dict.fromkeys(STREAMS, 0)
                self._remove(key)
            output.watched = key in watched
            if output.unpublished:
                self._changed.set()

    def _remove(self, key: Attempt) -> None:
        self._to_remove.add(key)
        self._changed.set()

    async def run(self) -> None:
        """Publish until cancelled. A database that is away delays what is shown and nothing else."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._publish()
            except DatabaseAway as error:
                log.debug("output_not_published", error=str(error))
                self._changed.set()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def finish(self) -> None:
        """Remove what is left, if the database answers; the sweeper removes the rest."""
        with contextlib.suppress(DatabaseAway):
            await self._remove_ended()

    async def _publish(self) -> None:
        await self._remove_ended()
        chunks = (chunk for output in self._attempts.values() if output.watched for chunk in output.chunks())
        sent = list(itertools.islice(chunks, _BATCH_CHUNKS))
        if not sent:
            return
        await self._store.publish(sent)
        for chunk in sent:
            output = self._attempts.get((chunk.id, chunk.attempt))
            if output is None or not output.watched:
                # It ended, or the last watcher went, while this was written.
                self._remove((chunk.id, chunk.attempt))
            else:
                output.published[chunk.stream] = chunk.number * CHUNK_BYTES + len(chunk.data)
        self._doorbell.ring(Bell.WRITTEN, {chunk.id for chunk in sent})
        if len(sent) == _BATCH_CHUNKS:
            self._changed.set()

    async def _remove_ended(self) -> None:
        if self._to_remove:
            removed = frozenset(self._to_remove)
            await self._store.remove(removed)
            self._to_remove -= removed
