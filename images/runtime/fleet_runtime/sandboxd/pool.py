"""The sandboxes of one template: some waiting warm, none over the maximum, none used twice."""

import asyncio
import contextlib
import contextvars
import secrets
import time
from collections import deque
from collections.abc import Coroutine

import structlog

from fleet_runtime.sandboxd.backend import Backend, BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.demand import Demand, starts_at_once
from fleet_runtime.sandboxd.frames import FrameError, read_frame
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.sandboxd.refused import RefusedError

_REFILL_DELAY_SECONDS = 0.01
"""A refill waits so long after a sandbox was taken: making one needs the processors that a short job is using."""
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_REMOVAL_ATTEMPTS = 5

_log = structlog.get_logger(__name__)


class TemplatePool:
    """Hands out sandboxes and makes their successors. All methods belong to one event loop."""

    def __init__(self, fleet: str, name: str, template: SandboxTemplate, backend: Backend, metrics: Metrics) -> None:
        """Begin empty; nothing is started before `open`."""
        self.name = name
        self.template = template
        self._fleet = fleet
        self._backend = backend
        self._metrics = metrics
        self._idle: deque[Sandbox] = deque()
        self._running: dict[str, Sandbox] = {}
        # Whose connection makes it look is not whom its sandboxes are for: their lines in the log name no job.
        self._context = contextvars.copy_context()
        self._starting = self._removing = 0
        self._waiting: deque[asyncio.Future[Sandbox]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._demand = Demand(template.warm, template.maximum)
        self._failures = 0
        self._failure: str | None = None
        self._problem: str | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._short = self._closed = False
        self._paused = self._keeps_warm = True
        self.known: set[str] = set()
        """Names of all containers that this pool has begun to create and not yet seen removed."""

    @property
    def counts(self) -> dict[str, int]:
        """How many sandboxes are in which state."""
        return {
            "warm": len(self._idle),
            "starting": self._starting,
            "running": len(self._running),
            "removing": self._removing,
            "maximum": self.template.maximum,
        }

    def open(self) -> None:
        """Start sandboxes from now on."""
        if self._problem is not None or self._failures == 0:
            self._problem, self._paused = None, False
        self._fill()

    def pause(self, reason: str) -> None:
        """Start none until `open`; jobs wait, because this is expected to pass."""
        self._paused, self._failure, self._failures = True, reason, 0

    def forbid(self, problem: str) -> None:
        """Start none until `open`, and refuse jobs: somebody has to change something first."""
        if problem != self._problem:
            _log.error("sandbox_template_unusable", template=self.name, problem=problem)
        self._paused, self._problem, self._failures = True, problem, 0
        self._refuse_waiting("start_failed", problem)

    def keep_warm(self, wanted: bool) -> None:
        """Have sandboxes wait, as the template says; or destroy those that do, and make new ones for jobs only."""
        self._keeps_warm = wanted
        self._fill()

    def take(self) -> Sandbox | None:
        """Return a warm sandbox if there is one; it counts as running until `release`."""
        while self._idle:
            sandbox = self._idle.popleft()
            self._watchers.pop(sandbox.name).cancel()
            if sandbox.ended.is_set():
                self._dispose(sandbox)
                continue
            self._running[sandbox.name] = sandbox
            self._demand.took(len(self._idle))
            if self._refill is None:
                self._refill = asyncio.get_running_loop().call_later(_REFILL_DELAY_SECONDS, self._fill)
            return sandbox
        return None

    async def wait(self, deadline: float) -> Sandbox:
        """Return a sandbox once there is one, in the order of asking; raises RefusedError at the loop time given."""
        if self._closed:
            raise RefusedError("shutting_down", "sandboxd is shutting down")
        if self._problem is not None:
            raise RefusedError("start_failed", self._problem)
        # One may have become ready since the caller found none, and nobody would be told of it again.
        if (sandbox := self.take()) is not None:
            return sandbox
        place: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        if not self._paused:
            self._demand.missed()
        self._fill()
        try:
            async with asyncio.timeout_at(deadline):
                return await place
        except (TimeoutError, asyncio.CancelledError) as error:
            # It may have been given a sandbox in the very moment in which it gave up.
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release(place.result())
            if isinstance(error, TimeoutError):
                raise self._timed_out() from None
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(place)

    def release(self, sandbox: Sandbox) -> None:
        """Destroy a sandbox that was handed out, in the background; its place is free when it is gone."""
        if self._running.pop(sandbox.name, None) is not None:
            self._dispose(sandbox)

    async def close(self) -> None:
        """Refuse what waits, destroy everything, and return when all of it is gone."""
        self._closed = self._paused = True
        self._refuse_waiting("shutting_down", "sandboxd is shutting down")
        while self._idle:
            self._give_up(self._idle.popleft())
        for sandbox in list(self._running.values()):
            sandbox.abort()
            self.release(sandbox)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _give_up(self, sandbox: Sandbox) -> None:
        self._watchers.pop(sandbox.name).cancel()
        self._dispose(sandbox)

    def _timed_out(self) -> RefusedError:
        seconds = f"{self.template.start_timeout_seconds:g} s"
        full = len(self._running) + self._removing >= self.template.maximum
        shortage = self._backend.shortage() or (self._failure if self._short else None)
        if shortage is not None:
            return RefusedError("no_capacity", f"no sandbox could be had for {seconds}: {shortage}")
        if not self._running or (self._failure is not None and not full):
            why = self._failure or "none became ready"
            return RefusedError("start_failed", f"no sandbox could be started within {seconds}: {why}")
        return RefusedError(
            "no_capacity", f"all {self.template.maximum} sandboxes of template {self.name} were busy for {seconds}"
        )

    def _refuse_waiting(self, code: str, message: str) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(RefusedError(code, message))

    def _wanted_idle(self) -> int:
        """As many as the template says, or as demand of late asks for, if that is more.

        Not so where others draw on the same stock: what one keeps beyond its due, they lack.
        """
        if not self._keeps_warm:
            return 0
        return self.template.warm if self._backend.shared else self._demand.wanted

    def _fill(self) -> None:
        """Start what is missing, as far as the maximum and good sense allow, and give up what is too much."""
        if self._refill is not None:
            self._refill.cancel()
            self._refill = None
        wanted = self._wanted_idle()
        while len(self._idle) > wanted:
            self._give_up(self._idle.popleft())
        if self._paused or self._closed:
            return
        waiting = sum(1 for place in self._waiting if not place.done())
        missing = waiting + wanted - len(self._idle) - self._starting
        room = self.template.maximum - len(self._idle) - self._starting - len(self._running) - self._removing
        at_once = starts_at_once(waiting, shared=self._backend.shared)
        for _ in range(min(missing, room, at_once - self._starting)):
            self._starting += 1
            self._background(self._start())

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        name = f"{self._fleet}-sandbox-{secrets.token_hex(6)}"
        self.known.add(name)
        began = time.monotonic()
        sandbox: Sandbox | None = None
        try:
            async with asyncio.timeout(self.template.start_timeout_seconds):
                sandbox = await self._backend.start(name, self.name, self.template)
                kind, _ = await read_frame(sandbox.output)
                if kind != b"R":
                    raise FrameError("its first frame does not say that it is ready")
        except Exception as error:
            if not isinstance(error, BackendError | FrameError | EOFError | TimeoutError):
                _log.exception("sandbox_start_broke", template=self.name, sandbox=name)
            self._starting -= 1
            self._failed(name, error, sandbox)
            return
        self._starting -= 1
        self._failures, self._failure, self._short = 0, None, False
        self._metrics.started.labels(self.name).inc()
        self._metrics.container_start.labels(self.name).observe(time.monotonic() - began)
        self._ready(sandbox)

    def _ready(self, sandbox: Sandbox) -> None:
        if self._closed:
            self._dispose(sandbox)
            return
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                self._running[sandbox.name] = sandbox
                place.set_result(sandbox)
                break
        else:
            self._idle.append(sandbox)
            self._watchers[sandbox.name] = asyncio.create_task(self._watch(sandbox))
        self._fill()

    async def _watch(self, sandbox: Sandbox) -> None:
        """Replace a warm sandbox that dies."""
        await sandbox.ended.wait()
        _log.warning("warm_sandbox_died", template=self.name, sandbox=sandbox.name, said=sandbox.diagnostics())
        self._watchers.pop(sandbox.name, None)
        self._idle.remove(sandbox)
        self._dispose(sandbox)
        self._fill()

    def _failed(self, name: str, error: Exception, sandbox: Sandbox | None) -> None:
        said = sandbox.diagnostics() if sandbox is not None else ""
        reason = str(error) if isinstance(error, BackendError) else "it did not report ready; is its image a sandbox?"
        if isinstance(error, TimeoutError):
            reason = f"it was not ready within {self.template.start_timeout_seconds:g} s"
        self._failure = f"{reason} ({said})" if said else reason
        self._short = isinstance(error, BackendError) and error.shortage
        _log.warning("sandbox_start_failed", template=self.name, sandbox=name, reason=self._failure)
        self._metrics.start_failures.labels(self.name).inc()
        if sandbox is not None:
            sandbox.abort()
        self._removing += 1
        self._background(self._remove(name))
        if isinstance(error, BackendError) and error.lasting:
            self.forbid(self._failure)
            return
        # Where all draw on one stock, a start that found none to be had has waited already.
        waited = self._short and self._backend.shared
        delay = _BACKOFF_SECONDS[0 if waited else min(self._failures, len(_BACKOFF_SECONDS) - 1)]
        self._failures += 1
        self._paused = True
        asyncio.get_running_loop().call_later(delay, self._retry)

    def _retry(self) -> None:
        """Go on after a failed start, unless something else than that holds the pool back by now."""
        if self._failures and self._problem is None:
            self._paused = False
            self._fill()

    def _dispose(self, sandbox: Sandbox) -> None:
        self._removing += 1
        self._background(self._remove(sandbox.name, sandbox))

    async def _remove(self, name: str, sandbox: Sandbox | None = None) -> None:
        """Remove a container; what is left after several attempts is found again by the sweep."""
        outcome = "failure"
        for attempt in range(_REMOVAL_ATTEMPTS):
            try:
                await self._backend.remove(name)
                outcome = "success"
                break
            except BackendError as error:
                _log.warning("sandbox_removal_failed", template=self.name, sandbox=name, reason=str(error))
                await asyncio.sleep(_BACKOFF_SECONDS[attempt])
        if sandbox is not None:
            sandbox.abort()
        self._metrics.cleanups.labels(self.name, outcome).inc()
        self.known.discard(name)
        self._removing -= 1
        self._fill()
