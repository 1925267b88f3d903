"""The worker: claims jobs up to its free slots, runs them, and writes what became of them."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from uuid import UUID

import structlog

from fleet_runtime.config import WorkerSettings
from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.doorbell import Bell, Doorbell
from fleet_runtime.sandboxd.client import Sandboxes
from fleet_runtime.states import JobStatus
from fleet_runtime.store.claims import Claims
from fleet_runtime.store.fleet import Fleet, WorkerState
from fleet_runtime.store.live_output import LiveOutput
from fleet_runtime.store.outcomes import Outcomes
from fleet_runtime.store.records import ClaimedJob
from fleet_runtime.store.usage import UsageTally
from fleet_runtime.store.workspaces import Workspaces
from fleet_runtime.tasks import end
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.telemetry.tracing import Tracing
from fleet_runtime.worker.attempt import Finished, HandedBack, Retried, RunningAttempt, Stop, Verdict, run_attempt
from fleet_runtime.worker.drain_limit import DrainLimit
from fleet_runtime.worker.insist import insist
from fleet_runtime.worker.live_output import OutputPublisher
from fleet_runtime.worker.pool_health import PoolHealth
from fleet_runtime.worker.report import AttemptReport
from fleet_runtime.worker.workspace_sizes import WorkspaceSizes

log = structlog.get_logger()

_AFTER_DRAIN_SECONDS = 15.0
"""How long handing back may take once the time to drain is over."""


class Worker:
    """One worker process's work, apart from signals and listeners."""

    def __init__(
        self,
        settings: WorkerSettings,
        database: Database,
        doorbell: Doorbell,
        sandboxes: Sandboxes,
        metrics: WorkerMetrics,
        on_drain: Callable[[bool], None] | None = None,
        tracing: Tracing | None = None,
        drain_limit: DrainLimit | None = None,
    ) -> None:
        """Put the parts together; `run` starts them.

        `on_drain` is called with True once no more jobs are taken, and with False when they are again.
        """
        self._settings = settings
        self._doorbell = doorbell
        self._sandboxes = sandboxes
        self._metrics = metrics
        self._on_drain = on_drain
        self._drain_limit = drain_limit or DrainLimit(settings.drain_seconds)
        self._usage = UsageTally(database)
        self._claims = Claims(
            database,
            worker_id=settings.worker_id,
            template=settings.template,
            lease_seconds=settings.lease_seconds,
            usage=self._usage,
        )
        self._outcomes = Outcomes(database, worker_id=settings.worker_id, usage=self._usage)
        self._fleet = Fleet(database)
        self._outputs = OutputPublisher(LiveOutput(database), doorbell)
        self._workspaces = WorkspaceSizes(sandboxes, Workspaces(database))
        self._report = AttemptReport(metrics, tracing)
        self._running: dict[tuple[UUID, int], RunningAttempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._look_now = asyncio.Event()
        self._draining = False
        self._more_expected = True
        self._paused_until = 0.0
        self._health = PoolHealth(
            sandboxes,
            self._fleet,
            describe=self._describe,
            template=settings.template,
            interval_seconds=settings.heartbeat_seconds,
            on_recovery=self._wake.set,
            on_drain=self._drain_requested,
        )
        metrics.slots.set(settings.concurrency)
        doorbell.listen(Bell.QUEUED, lambda _: self._wake.set())
        # Both say only that there is something to see about a job: what it is stands in the table.
        doorbell.listen(Bell.CANCEL, self._rung)
        doorbell.listen(Bell.WATCHED, self._rung)

    @property
    def state(self) -> dict[str, object]:
        """What `/health` shows."""
        running = len(self._running)
        return {"status": "ok", "running": running, "healthy": self._health.healthy, "draining": self._drains}

    @property
    def _drains(self) -> bool:
        return self._draining or self._health.drain_requested

    @property
    def readiness(self) -> dict[str, object]:
        """What `/ready` shows: whether this worker takes jobs, and if not, why."""
        reason = "draining" if self._draining else self._health.reason
        return {"ready": reason is None, "reason": reason}

    @property
    def sandboxes_healthy(self) -> bool:
        """Whether sandboxd was well when last asked."""
        return self._health.healthy

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`, then drain. Returns when no job is in this worker's hands."""
        parts = (
            self._health.run(),
            self._hold(),
            self._claim(),
            self._outputs.run(),
            self._usage.run(),
            self._workspaces.run(),
        )
        loops = [asyncio.create_task(part) for part in parts]
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({stop, *loops}, return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    loop.result()
            await self._drain(loops[2])
        finally:
            await end((stop, *loops, *self._tasks))
        await self._outputs.finish()
        with contextlib.suppress(DatabaseAway):
            await self._usage.write()
            await self._fleet.leave(self._settings.worker_id)

    async def _claim(self) -> None:
        failures = 0
        while not self._draining:
            self._wake.clear()
            free = self._free_slots()
            if free > 0:
                began_ns = time.time_ns()
                try:
                    claimed = await self._claims.claim(free)
                    failures = 0
                except DatabaseAway as error:
                    failures += 1
                    log.warning("claim_failed", error=str(error))
                    await asyncio.sleep(min(2.0, 0.1 * 2**failures) * random.uniform(0.5, 1.0))  # noqa: S311
                    continue
                for job in claimed:
                    self._start(job, began_ns)
                self._more_expected = len(claimed) == free
            with contextlib.suppress(TimeoutError):
                # Spread out, so that workers which lost the doorbell do not all ask at once.
                async with asyncio.timeout(self._settings.poll_seconds * random.uniform(0.75, 1.0)):  # noqa: S311
                    await self._wake.wait()

    def _free_slots(self) -> int:
        if self._drains or not self._health.healthy or time.monotonic() < self._paused_until:
            return 0
        return min(self._settings.concurrency, self._health.capacity) - len(self._running)

    def _start(self, job: ClaimedJob, claim_began_ns: int) -> None:
        attempt = RunningAttempt(job, on_output=self._outputs.open(job).write)
        attempt.times.claim_began_ns = claim_began_ns
        self._running[job.id, job.attempt] = attempt
        self._metrics.running.set(len(self._running))
        if job.attempt == 1:
            self._metrics.wait_seconds.observe(job.waited_ms / 1000)
        task = asyncio.create_task(self._work(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, attempt: RunningAttempt) -> None:
        job = attempt.job
        try:
            try:
                verdict = await run_attempt(attempt, self._sandboxes, self._settings.template)
            except Exception as error:
                log.exception("attempt_failed", job=str(job.id), attempt=job.attempt)
                verdict = Retried("worker_failed", f"the worker failed: {type(error).__name__}")
            attempt.times.ran_ns = time.time_ns()
            await self._write(attempt, verdict)
        finally:
            del self._running[job.id, job.attempt]
            self._outputs.close((job.id, job.attempt))
            if job.workspace is not None:
                self._workspaces.ended(job.tenant, job.workspace)
            self._metrics.running.set(len(self._running))
            # A place of a limited tenant may be what its next job waits for.
            if self._more_expected or job.limited:
                self._wake.set()

    async def _write(self, attempt: RunningAttempt, verdict: Verdict) -> None:
        job = attempt.job
        status: JobStatus | None = None
        match verdict:
            case Finished(outcome):
                status = await insist(lambda: self._outcomes.finish(job.id, job.attempt, outcome))
            case Retried(code, message):
                self._metrics.failures.labels(code).inc()
                if code in ("start_failed", "unknown_template"):
                    self._health.doubt(message)
                status = await insist(
                    lambda: self._outcomes.retry(job.id, job.attempt, error_code=code, error_message=message)
                )
            case HandedBack(reason, delay, pause):
                self._metrics.handed_back.labels(reason).inc()
                if pause:
                    self._paused_until = time.monotonic() + delay
                if reason in ("sandboxd_away", "shutting_down"):
                    self._health.doubt(f"sandboxd: {reason}")
                status = await insist(lambda: self._outcomes.hand_back(job.id, job.attempt, delay_seconds=delay))
            case _:
                pass
        if status is None:
            self._metrics.refused.inc()
        else:
            self._doorbell.ring(Bell.ENDED if status.terminal else Bell.QUEUED, [job.id])
        self._report.ended(attempt, verdict, status)

    def _rung(self, ids: frozenset[UUID]) -> None:
        if not ids or any(id_ in ids for id_, _ in self._running):
            self._look_now.set()

    async def _hold(self) -> None:
        """Renew the leases of running jobs, and stop those that were cancelled or are no longer this worker's."""
        renewed_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._settings.poll_seconds, self._settings.lease_renew_seconds)):
                    await self._look_now.wait()
            self._look_now.clear()
            held = list(self._running)
            due = time.monotonic() - renewed_at >= self._settings.lease_renew_seconds
            if due and not held:
                renewed_at = time.monotonic()
            if not held:
                continue
            try:
                news = await (self._claims.renew(held) if due else self._claims.look(held))
            except DatabaseAway as error:
                log.warning("renew_failed", error=str(error))
                continue
            if due:
                renewed_at = time.monotonic()
            self._outputs.watch(held, news.watched)
            for key, reason in [
                *((key, Stop.CANCELLED) for key in news.cancelled),
                *((key, Stop.LEASE_LOST) for key in news.lost),
            ]:
                if key in self._running:
                    self._running[key].stop(reason)

    def _drain_requested(self, wanted: bool) -> None:
        """Take no more jobs, or take jobs again; those in hand go on to their ends in either case."""
        if self._on_drain is not None and not self._draining:
            self._on_drain(wanted)
        self._wake.set()

    async def _drain(self, claiming: asyncio.Task[None]) -> None:
        """Take no more jobs; let those in hand end, and return to the queue what does not in time."""
        self._draining = True
        self._wake.set()
        log.info("draining", running=len(self._running))
        await self._health.beat()
        # A claim that is under way may still bring jobs.
        await asyncio.wait({claiming}, timeout=10)
        if self._on_drain is not None:
            self._on_drain(True)
        await self._drain_limit.let_end(self._tasks)
        for attempt in self._running.values():
            attempt.stop(Stop.DRAINED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_AFTER_DRAIN_SECONDS)
        log.info("drained", abandoned=len(self._running))

    def _describe(self, healthy: bool, reason: str | None) -> WorkerState:
        return WorkerState(
            id=self._settings.worker_id,
            template=self._settings.template,
            concurrency=self._settings.concurrency,
            running=len(self._running),
            healthy=healthy,
            reason=reason,
            draining=self._drains,
        )
