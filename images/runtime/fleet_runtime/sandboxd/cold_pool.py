"""The sandboxes of a template with workspaces: each is made for its job, because what it mounts is that job's."""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from fleet_runtime.sandboxd.backend import Backend, BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.frames import FrameError, read_frame
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.workspace import Workspace, WorkspacesInUse

_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

_log = structlog.get_logger(__name__)


class SandboxSource(Protocol):
    """Where a run gets its sandbox from: a pool, or a pool with the workspace that the run asked for."""

    name: str
    template: SandboxTemplate

    def take(self) -> Sandbox | None:
        """Return a sandbox that waits; None if none does."""
        ...

    async def wait(self, deadline: float) -> Sandbox:
        """Return a sandbox once there is one; raises RefusedError at the loop time given."""
        ...

    def release(self, sandbox: Sandbox) -> None:
        """Destroy a sandbox that was handed out, in the background."""
        ...


class ColdPool:
    """Makes sandboxes when jobs come, none over the maximum. All methods belong to one event loop."""

    def __init__(
        self,
        fleet: str,
        name: str,
        template: SandboxTemplate,
        backend: Backend,
        metrics: Metrics,
        in_use: WorkspacesInUse,
    ) -> None:
        """Begin empty; nothing is started before `open`."""
        self.name = name
        self.template = template
        self._fleet = fleet
        self._backend = backend
        self._metrics = metrics
        self._in_use = in_use
        self._starting = self._removing = 0
        self._running: dict[str, Workspace | None] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._paused = True
        self._closed = False
        self._failure: str | None = None
        self._problem: str | None = None
        self.known: set[str] = set()
        """Names of all containers that this pool has begun to create and not yet seen removed."""
        in_use.listen(self._wake)

    @property
    def counts(self) -> dict[str, int]:
        """How many sandboxes are in which state."""
        return {
            "warm": 0,
            "starting": self._starting,
            "running": len(self._running),
            "removing": self._removing,
            "maximum": self.template.maximum,
        }

    def open(self) -> None:
        """Start sandboxes from now on."""
        self._paused, self._problem = False, None
        self._wake()

    def pause(self, reason: str) -> None:
        """Start none until `open`; jobs wait, because this is expected to pass."""
        self._paused, self._failure = True, reason

    def forbid(self, problem: str) -> None:
        """Start none until `open`, and refuse jobs: somebody has to change something first."""
        if problem != self._problem:
            _log.error("sandbox_template_unusable", template=self.name, problem=problem)
        self._paused, self._problem = True, problem
        self._wake()

    def keep_warm(self, wanted: bool) -> None:
        """Nothing is kept warm here."""

    def source(self, workspace: Workspace | None) -> SandboxSource:
        """Return where one job gets its sandbox, with this workspace mounted."""
        return _ForOneJob(self, workspace)

    async def make(self, deadline: float, workspace: Workspace | None) -> Sandbox:
        """Make a sandbox when there is room and the workspace is free; raises RefusedError at the loop time given."""
        try:
            async with asyncio.timeout_at(deadline):
                while not self._take_place(workspace):
                    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.append(turn)
                    try:
                        await turn
                    finally:
                        with contextlib.suppress(ValueError):
                            self._waiting.remove(turn)
        except TimeoutError:
            why = self._failure if self._paused else None
            reason = why or f"{self.template.maximum} are in use at most, and one job at a time has a workspace"
            raise RefusedError("no_capacity", f"no sandbox of template {self.name} could be had: {reason}") from None
        # It goes on by itself if the job is not wanted any more: a start that is cut off leaves what nobody removes.
        start = self._background(self._start(workspace, deadline))
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            start.add_done_callback(self._not_wanted)
            raise

    def release(self, sandbox: Sandbox) -> None:
        """Destroy a sandbox that was handed out, in the background; place and workspace are free when it is gone."""
        if sandbox.name in self._running:
            self._dispose(sandbox.name, sandbox, self._running.pop(sandbox.name))

    async def close(self) -> None:
        """Refuse what waits, destroy everything, and return when all of it is gone."""
        self._closed = self._paused = True
        self._wake()
        while self._tasks or self._running:
            for name, workspace in list(self._running.items()):
                del self._running[name]
                self._dispose(name, None, workspace)
            await asyncio.wait(set(self._tasks))

    def _take_place(self, workspace: Workspace | None) -> bool:
        if self._closed:
            raise RefusedError("shutting_down", "sandboxd is shutting down")
        if self._problem is not None:
            raise RefusedError("start_failed", self._problem)
        full = self._starting + len(self._running) + self._removing >= self.template.maximum
        if self._paused or full or not self._in_use.take(workspace):
            return False
        self._starting += 1
        return True

    async def _start(self, workspace: Workspace | None, deadline: float) -> Sandbox:
        """Try until the deadline; what did not become a sandbox is gone before the next attempt."""
        attempt = 0
        while True:
            name = f"{self._fleet}-sandbox-{secrets.token_hex(6)}"
            self.known.add(name)
            began = time.monotonic()
            try:
                async with asyncio.timeout(self.template.start_timeout_seconds):
                    sandbox = await self._backend.start(name, self.name, self.template, workspace)
                    kind, _ = await read_frame(sandbox.output)
                    if kind != b"R":
                        raise FrameError("its first frame does not say that it is ready")
            except Exception as error:
                self._failure = str(error) or "it did not become ready in time"
                _log.warning("sandbox_start_failed", template=self.name, sandbox=name, reason=self._failure)
                lasting = isinstance(error, BackendError) and error.lasting
                await self._gone(name)
                delay = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)]
                attempt += 1
                if not lasting and not self._closed and asyncio.get_running_loop().time() + delay < deadline:
                    await asyncio.sleep(delay)
                    continue
                self._starting -= 1
                self._in_use.free(workspace)
                self._wake()
                short = isinstance(error, BackendError) and error.shortage
                code = "no_capacity" if short else "start_failed"
                raise RefusedError(code, f"no sandbox could be started: {self._failure}") from None
            self._starting -= 1
            self._running[name] = workspace
            self._metrics.started.labels(self.name).inc()
            self._metrics.container_start.labels(self.name).observe(time.monotonic() - began)
            return sandbox

    def _not_wanted(self, start: asyncio.Task[Sandbox]) -> None:
        if not start.cancelled() and start.exception() is None:
            self.release(start.result())

    def _dispose(self, name: str, sandbox: Sandbox | None, workspace: Workspace | None) -> None:
        self._removing += 1
        self._background(self._remove(name, sandbox, workspace))

    async def _remove(self, name: str, sandbox: Sandbox | None, workspace: Workspace | None) -> None:
        await self._gone(name)
        if sandbox is not None:
            sandbox.abort()
        self._removing -= 1
        self._in_use.free(workspace)
        self._wake()

    async def _gone(self, name: str) -> None:
        """Remove a container, however often that takes: a workspace must not be given to another before."""
        attempt = 0
        while True:
            try:
                await self._backend.remove(name)
                break
            except BackendError as error:
                _log.warning("sandbox_removal_failed", template=self.name, sandbox=name, reason=str(error))
                self._metrics.cleanups.labels(self.name, "failure").inc()
                await asyncio.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
                attempt += 1
        self._metrics.cleanups.labels(self.name, "success").inc()
        self.known.discard(name)

    def _wake(self) -> None:
        """Have those that wait look again, in the order of their coming."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    def _background(self, work: Coroutine[None, None, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _ForOneJob:
    """A pool as one run sees it: whatever it takes has the run's workspace."""

    def __init__(self, pool: ColdPool, workspace: Workspace | None) -> None:
        self.name, self.template = pool.name, pool.template
        self._pool, self._workspace = pool, workspace
        self.release = pool.release

    def take(self) -> Sandbox | None:
        return None

    async def wait(self, deadline: float) -> Sandbox:
        return await self._pool.make(deadline, self._workspace)
