"""What the queue should hold, without asking the database: the model of `test_queue_machine`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class ModelJob:
    """What is known of a job."""

    tenant: str
    max_attempts: int
    priority: int
    order: int
    status: str = "queued"
    attempt: int = 0
    failures: int = 0
    worker: str = ""
    cancel_requested: bool = False
    lease_expired: bool = False

    def end(self, status: str) -> None:
        """Record a terminal state."""
        assert self.status in ("queued", "running"), "the model itself would end a job twice"
        self.status = status

    def fail(self) -> None:
        """Count a failure of the infrastructure."""
        self.failures += 1
        if self.cancel_requested:
            self.end("cancelled")
        elif self.failures >= self.max_attempts:
            self.end("lost")
        else:
            self.status = "queued"

    def held_by(self, worker: str, attempt: int) -> bool:
        """Say whether this attempt is the one that counts."""
        return self.status == "running" and (self.worker, self.attempt) == (worker, attempt)


@dataclass
class ModelTenant:
    """A tenant's limits, and the jobs that it has begun today."""

    max_concurrent: int | None = None
    jobs_per_day: int | None = None
    begun: int = 0
    jobs: dict[UUID, ModelJob] = field(default_factory=dict[UUID, ModelJob])

    @property
    def running(self) -> int:
        """How many of its jobs run."""
        return sum(job.status == "running" for job in self.jobs.values())

    def claimable(self, window: int) -> int:
        """How many of the first `window` in its queue a claim may take."""
        queue = sorted(
            (job for job in self.jobs.values() if job.status == "queued"), key=lambda job: (-job.priority, job.order)
        )
        fresh = None if self.jobs_per_day is None else self.jobs_per_day - self.begun
        if fresh is not None and fresh <= 0:
            queue = [job for job in queue if job.attempt > 0]
        most = window if self.max_concurrent is None else max(0, min(window, self.max_concurrent - self.running))
        return self._paid(queue[:most], fresh)

    @staticmethod
    def _paid(queue: Iterable[ModelJob], fresh: int | None) -> int:
        heads = list(queue)
        beginning = sum(job.attempt == 0 for job in heads)
        returned = len(heads) - beginning
        return returned + (beginning if fresh is None else min(beginning, max(0, fresh)))


@dataclass(frozen=True)
class Held:
    """An attempt that some worker believes to hold: it may have lost it long ago."""

    worker: str
    job: UUID
    attempt: int
