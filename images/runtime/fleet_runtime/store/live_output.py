"""What running jobs have written so far, kept only while somebody watches.

A stream is cut into chunks of a fixed size, the last of which is written anew as it grows. So any offset is found
without reading what stands before it, a chunk that is written twice is the same, and one that a crash of the database
took is written again or is made good by the result that is stored in the end.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from fleet_runtime.database import Database
from fleet_runtime.states import JobStatus

CHUNK_BYTES = 16 * 1024
STREAMS = {"stdout": 1, "stderr": 2}
_READ_CHUNKS = 4

# In one order, so that two APIs that watch the same jobs do not wait for each other.
_WATCH = """
INSERT INTO job_watches (job_id, watched_until)
SELECT id, now() + make_interval(secs => %(seconds)s) FROM unnest(%(ids)s::uuid[]) AS watched(id) ORDER BY id
ON CONFLICT (job_id) DO UPDATE SET watched_until = excluded.watched_until
"""

_LOOK = """
SELECT jobs.id, jobs.status, jobs.attempt,
       coalesce((SELECT chunk * %(chunk_bytes)s + length(data) FROM job_output
                 WHERE job_id = jobs.id AND attempt = jobs.attempt AND stream = 1
                 ORDER BY chunk DESC LIMIT 1), 0)::int AS stdout_bytes,
       coalesce((SELECT chunk * %(chunk_bytes)s + length(data) FROM job_output
                 WHERE job_id = jobs.id AND attempt = jobs.attempt AND stream = 2
                 ORDER BY chunk DESC LIMIT 1), 0)::int AS stderr_bytes
FROM jobs WHERE id = ANY(%(ids)s::uuid[])
"""

_READ = """
SELECT chunk, data FROM job_output
WHERE job_id = %(id)s AND attempt = %(attempt)s AND stream = %(stream)s AND chunk >= %(chunk)s
ORDER BY chunk LIMIT %(limit)s
"""

_PUBLISH = """
INSERT INTO job_output (job_id, attempt, stream, chunk, data)
SELECT * FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(streams)s::int[], %(chunks)s::int[], %(data)s::bytea[])
ON CONFLICT (job_id, attempt, stream, chunk) DO UPDATE SET data = excluded.data
"""

# Those of earlier attempts go as well: their worker may have died.
_REMOVE = """
DELETE FROM job_output USING unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS mine(id, last)
WHERE job_output.job_id = mine.id AND job_output.attempt <= mine.last
"""


@dataclass(frozen=True)
class Written:
    """Where a watched job is, and how many bytes of its present attempt can be read."""

    id: UUID
    status: str
    attempt: int
    stdout_bytes: int
    stderr_bytes: int

    @property
    def ended(self) -> bool:
        """Whether the job has its final result."""
        return JobStatus(self.status).terminal


@dataclass(frozen=True)
class Chunk:
    """A part of one stream of one attempt; `data` is all that there is of it yet."""

    id: UUID
    attempt: int
    stream: str
    number: int
    data: bytes


class LiveOutput:
    """The part of the store that carries output from workers to the APIs."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def watch(self, ids: Collection[UUID], seconds: float) -> None:
        """Have workers publish what these jobs write, for so long from now on."""
        await self._database.tuples(_WATCH, {"ids": list(ids), "seconds": seconds})

    async def look(self, ids: Collection[UUID]) -> list[Written]:
        """Return where these jobs are; one that is not there any more is left out."""
        return await self._database.rows(Written, _LOOK, {"ids": list(ids), "chunk_bytes": CHUNK_BYTES})

    async def read(self, id_: UUID, attempt: int, stream: str, offset: int) -> bytes:
        """Return what can be read of a stream from an offset on, up to 64 KiB; empty where nothing can."""
        parameters = {
            "id": id_,
            "attempt": attempt,
            "stream": STREAMS[stream],
            "chunk": offset // CHUNK_BYTES,
            "limit": _READ_CHUNKS,
        }
        found = b""
        wanted = offset // CHUNK_BYTES
        for number, data in await self._database.tuples(_READ, parameters):
            # One that is missing, or not full yet, ends what is known without a gap.
            if number != wanted or len(found) % CHUNK_BYTES:
                break
            found += data
            wanted += 1
        return found[offset % CHUNK_BYTES :]

    async def publish(self, chunks: Sequence[Chunk]) -> None:
        """Write chunks, in place of what they held before."""
        parameters = {
            "ids": [chunk.id for chunk in chunks],
            "attempts": [chunk.attempt for chunk in chunks],
            "streams": [STREAMS[chunk.stream] for chunk in chunks],
            "chunks": [chunk.number for chunk in chunks],
            "data": [chunk.data for chunk in chunks],
        }
        await self._database.tuples(_PUBLISH, parameters)

    async def remove(self, attempts: Collection[tuple[UUID, int]]) -> None:
        """Remove what these attempts, and those before them, have published."""
        parameters = {"ids": [id_ for id_, _ in attempts], "attempts": [attempt for _, attempt in attempts]}
        await self._database.tuples(_REMOVE, parameters)
