"""Who works, and how much there is to do."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fleet_runtime.database import Database

_BEAT = """
INSERT INTO workers (id, template, concurrency, running, healthy, reason, draining)
VALUES (%(id)s, %(template)s, %(concurrency)s, %(running)s, %(healthy)s, %(reason)s, %(draining)s)
ON CONFLICT (id) DO UPDATE SET
    template = excluded.template, concurrency = excluded.concurrency, running = excluded.running,
    healthy = excluded.healthy, reason = excluded.reason, draining = excluded.draining, heartbeat_at = now()
RETURNING drain_requested
"""

_REQUEST_DRAIN = "UPDATE workers SET drain_requested = %(wanted)s WHERE id = %(id)s RETURNING id"

_DRAINS_REQUESTED = "SELECT id FROM workers WHERE drain_requested"

_LEAVE = "DELETE FROM workers WHERE id = %(id)s"

_WORKERS = """
SELECT id, template, concurrency, running, healthy, reason, draining FROM workers
WHERE heartbeat_at > now() - make_interval(secs => %(fresh_seconds)s)
ORDER BY id LIMIT 1000
"""

_LIVING = """
SELECT id FROM workers
WHERE id = ANY(%(ids)s::text[]) AND heartbeat_at > now() - make_interval(secs => %(fresh_seconds)s)
"""

_DEPTH = """
SELECT template, status, count(*),
       coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE available_at <= now())), 0)::float8
FROM jobs WHERE status = 'queued' GROUP BY template, status
UNION ALL
SELECT template, status, count(*), 0 FROM jobs WHERE status = 'running' GROUP BY template, status
"""


@dataclass(frozen=True)
class WorkerState:
    """What a worker last said of itself."""

    id: str
    template: str
    concurrency: int
    running: int
    healthy: bool
    reason: str | None
    draining: bool


@dataclass(frozen=True)
class Depth:
    """Jobs by template and status; `oldest_seconds` is the longest wait of any that could run."""

    queued: Mapping[str, int]
    running: Mapping[str, int]
    oldest_seconds: Mapping[str, float]


class Fleet:
    """The part of the store about workers and the queue as a whole."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def beat(self, worker: WorkerState) -> bool:
        """Record that a worker lives, and how it is; return whether an operator wants it to take no more jobs."""
        return bool((await self._database.tuples(_BEAT, vars(worker)))[0][0])

    async def request_drain(self, worker_id: str, wanted: bool) -> bool:
        """Ask a worker to take no more jobs, or to take jobs again; False where there is no such worker."""
        parameters = {"id": worker_id, "wanted": wanted}
        return bool(await self._database.tuples(_REQUEST_DRAIN, parameters))

    async def drains_requested(self) -> frozenset[str]:
        """Return the workers that an operator wants to drain."""
        return frozenset(str(id_) for (id_,) in await self._database.tuples(_DRAINS_REQUESTED, {}))

    async def leave(self, worker_id: str) -> None:
        """Forget a worker that has stopped in order."""
        await self._database.tuples(_LEAVE, {"id": worker_id})

    async def living(self, ids: Collection[str], fresh_seconds: float) -> frozenset[str]:
        """Return those of some workers that were heard of in the last `fresh_seconds`."""
        found = await self._database.tuples(_LIVING, {"ids": list(ids), "fresh_seconds": fresh_seconds})
        return frozenset(str(id_) for (id_,) in found)

    async def workers(self, fresh_seconds: float) -> list[WorkerState]:
        """Return the workers heard of in the last `fresh_seconds`."""
        return await self._database.rows(WorkerState, _WORKERS, {"fresh_seconds": fresh_seconds})

    async def depth(self) -> Depth:
        """Count queued and running jobs."""
        counts: dict[str, dict[str, int]] = {"queued": {}, "running": {}}
        oldest: dict[str, float] = {}
        rows: list[tuple[Any, ...]] = await self._database.tuples(_DEPTH, {})
        for template, status, count, seconds in rows:
            counts[status][template] = count
            if status == "queued":
                oldest[template] = seconds
        return Depth(counts["queued"], counts["running"], oldest)
