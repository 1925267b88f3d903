"""A host that goes: its worker takes no more jobs, ends or hands back what it has, and lets the host go."""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from fleet_runtime.config import WorkerSettings
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.worker.drain_limit import DrainLimit
from fleet_runtime.worker.host_notices import Notice, NoticeKind, look
from fleet_runtime.worker.host_peers import HostPeers
from fleet_runtime.worker.instance_metadata import InstanceMetadata, MetadataAwayError
from fleet_runtime.worker.lifecycle_hook import HookAwayError, LifecycleHook, NothingWaitsError

log = structlog.get_logger()

SPOT_SECONDS = 120.0
"""What EC2 gives after an interruption notice."""
HAND_BACK_SECONDS = 25.0
"""Of those, what killing jobs and writing that they wait again may take."""
_FIRST_LOOK_SECONDS = 5.0
_LONGEST_RETRY_SECONDS = 15.0


class HostDeparture:
    """Looks for notices while the worker works, has it drain at the first, and sees the host off."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        metadata: InstanceMetadata,
        hook: LifecycleHook | None,
        limit: DrainLimit,
        stopping: asyncio.Event,
        metrics: WorkerMetrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Join the host's workers; `stopping` is set and `limit` lowered when the host is to go."""
        self._settings = settings
        self._metadata = metadata
        self._hook = hook
        self._limit = limit
        self._stopping = stopping
        self._metrics = metrics
        self._now = now
        self._peers = HostPeers(Path(settings.sandboxd_socket).parent)
        self._standing: dict[NoticeKind, Notice] = {}
        self._looked = asyncio.Event()
        self._changed = asyncio.Event()
        self._terminating = asyncio.Event()
        self._drained = False
        self._hook_done = False

    @classmethod
    def of(
        cls, settings: WorkerSettings, limit: DrainLimit, stopping: asyncio.Event, metrics: WorkerMetrics
    ) -> "HostDeparture":
        """Return the departure that the settings describe."""
        from fleet_runtime.doorbell.aws_credentials import AwsCredentials

        metadata = InstanceMetadata(settings.metadata_endpoint)
        hook = None
        if settings.lifecycle_group is not None and settings.lifecycle_hook is not None:
            hook = LifecycleHook(
                settings.lifecycle_group,
                settings.lifecycle_hook,
                metadata=metadata,
                credentials=AwsCredentials(f"{settings.metadata_endpoint.rstrip('/')}/"),
                endpoint=settings.autoscaling_endpoint,
            )
        return cls(settings, metadata=metadata, hook=hook, limit=limit, stopping=stopping, metrics=metrics)

    async def run(self) -> None:
        """Look, and keep the hook waiting while jobs run, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._keep_waiting())

    async def first_look(self) -> None:
        """Wait until it is known whether the host goes, but not for ever: one that cannot be asked takes jobs."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                await self._looked.wait()

    async def settle(self, told: asyncio.Event) -> None:
        """The worker has no jobs: complete the hook once no other worker of the host has any.

        Returns when the process is `told` to end, or when the host stays after all: then a new process may take jobs.
        A process that ended at once would be started again on a host that is going.
        """
        self._drained = True
        self._peers.leave()
        if told.is_set():
            # The signal may be the first that is heard of a termination.
            with contextlib.suppress(MetadataAwayError):
                self._take(await look(self._metadata))
        while True:
            self._changed.clear()
            if NoticeKind.TERMINATION in self._standing:
                await self._complete(told)
            if told.is_set():
                return
            if not self._standing:
                log.info("host_stays")
                return
            await _first(told, self._changed)

    async def close(self) -> None:
        """Close the connections."""
        self._peers.close()
        await self._metadata.aclose()
        if self._hook is not None:
            await self._hook.aclose()

    async def _watch(self) -> None:
        failures = 0
        while True:
            wait = self._settings.host_notices_seconds
            try:
                found = await look(self._metadata)
                if failures:
                    log.info("host_notices_heard_again", failures=failures)
                failures = 0
                self._take(found)
            except MetadataAwayError as error:
                failures += 1
                self._metrics.host_notice_failures.inc()
                if failures == 1:
                    log.error("host_notices_not_heard", reason=str(error))
                wait = min(wait * 2 ** min(failures, 6), max(wait, _LONGEST_RETRY_SECONDS))
            # Spread out, as all workers of a host ask the same service.
            await asyncio.sleep(wait * random.uniform(0.75, 1.0))  # noqa: S311

    def _take(self, found: dict[NoticeKind, Notice]) -> None:
        if self._settings.rebalance == "ignore":
            found.pop(NoticeKind.REBALANCE, None)
        changed = found.keys() != self._standing.keys()
        for kind in found.keys() - self._standing.keys():
            self._limit.at_most(self._seconds(found[kind]))
            self._metrics.host_notices.labels(kind.value).inc()
            left = self._limit.seconds_left
            log.warning("host_notice", notice=kind.value, seconds_for_jobs=None if math.isinf(left) else round(left, 1))
        self._standing = found
        if NoticeKind.TERMINATION in found:
            self._terminating.set()
        if found:
            self._stopping.set()
        if changed:
            self._changed.set()
        self._looked.set()

    def _seconds(self, notice: Notice) -> float | None:
        """How long jobs may go on; None is as long as in any drain."""
        match notice.kind:
            case NoticeKind.SPOT_INTERRUPTION:
                said = SPOT_SECONDS if notice.at is None else (notice.at - self._now()).total_seconds()
                # A clock that is wrong must not make it longer than it can be.
                return max(0.0, min(said, SPOT_SECONDS) - HAND_BACK_SECONDS)
            case NoticeKind.TERMINATION:
                return None
            case _:
                return math.inf

    async def _keep_waiting(self) -> None:
        await self._terminating.wait()
        while self._hook is not None and not self._drained:
            try:
                await self._hook.keep_waiting()
            except NothingWaitsError as error:
                log.info("lifecycle_hook_over", reason=str(error))
                return
            except HookAwayError as error:
                log.warning("lifecycle_heartbeat_failed", reason=str(error))
            await asyncio.sleep(self._settings.lifecycle_heartbeat_seconds)

    async def _complete(self, told: asyncio.Event) -> None:
        if self._hook is None or self._hook_done:
            return
        others = asyncio.create_task(self._peers.all_left())
        try:
            await _first(told, others)
            if not others.done():
                # The last of them completes it.
                return
        finally:
            others.cancel()
        delay = 0.5
        while not self._hook_done:
            try:
                await self._hook.complete()
                self._hook_done = True
                log.info("lifecycle_hook_completed")
            except NothingWaitsError as error:
                self._hook_done = True
                log.info("lifecycle_hook_over", reason=str(error))
            except HookAwayError as error:
                log.warning("lifecycle_hook_not_completed", reason=str(error))
                if told.is_set():
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay * random.uniform(0.5, 1.0)):  # noqa: S311
                        await told.wait()
                delay = min(_LONGEST_RETRY_SECONDS, delay * 2)


async def _first(*awaited: "asyncio.Event | asyncio.Task[None]") -> None:
    """Return when one of them has happened."""
    tasks = {each if isinstance(each, asyncio.Task) else asyncio.create_task(each.wait()) for each in awaited}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks - {each for each in awaited if isinstance(each, asyncio.Task)}:
            task.cancel()
