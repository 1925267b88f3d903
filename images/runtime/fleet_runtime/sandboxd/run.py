"""One job: from its request to the frame that says how it ended."""

import asyncio
import json
import time
from typing import Any, cast

import structlog

from fleet_runtime.egress.link import LinkError
from fleet_runtime.sandboxd.backend import Backend, Sandbox
from fleet_runtime.sandboxd.cold_pool import SandboxSource
from fleet_runtime.sandboxd.egress_link import EgressLink
from fleet_runtime.sandboxd.frames import FrameError, cpu_limit_frame, encode_frame, read_frame
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.sandboxd.protocol import MAXIMUM_OUTPUT_BYTES, ProtocolError, encode_message, read_message
from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.request import Request

_KILL_SECONDS = 1.0
"""How long the runner may take to end its job and tell the figures, before the sandbox is torn down regardless."""
_INSPECT_SECONDS = 2.0
_CLIENT_SECONDS = 30.0
"""A client that takes nothing for so long is gone."""
_ATTEMPTS = 3
"""Sandboxes tried where one dies after it was taken and before the code started."""

_OUTPUTS = {b"1": "stdout", b"2": "stderr"}
_ABANDONED = "abandoned"

_log = structlog.get_logger(__name__)


class Run:
    """Serves one `run` request on one connection."""

    def __init__(
        self,
        request: Request,
        pool: SandboxSource,
        backend: Backend,
        metrics: Metrics,
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        egress: EgressLink | None = None,
    ) -> None:
        """Nothing happens before `serve`. `egress` is asked where the template has it."""
        self._request = request
        self._pool = pool
        self._backend = backend
        self._metrics = metrics
        self._egress = egress if pool.template.egress else None
        self._reader, self._writer = connection
        self._arrived = time.monotonic()
        self._started: float | None = None
        self._warm = True
        self._sent = {"stdout": 0, "stderr": 0}
        self._stopped: str | None = None
        self._sandbox: Sandbox | None = None
        self._wait: asyncio.Future[Any] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    async def serve(self) -> None:
        """Run the job to its end; whatever happens, its sandbox is destroyed."""
        # Every line about this job has them: a connection is a task of its own, and so has a context of its own.
        request = self._request
        ids = {"job": request.job_id, "request_id": request.request_id or None, "trace_id": request.trace_id or None}
        structlog.contextvars.bind_contextvars(attempt=request.attempt, **ids)
        listener = asyncio.create_task(self._listen())
        try:
            await self._run()
        except (OSError, TimeoutError):
            self._stopped = self._stopped or _ABANDONED
        finally:
            listener.cancel()
            for timer in self._timers:
                timer.cancel()
            if self._sandbox is not None:
                self._pool.release(self._sandbox)
        if self._stopped == _ABANDONED:
            _log.info("run_abandoned")

    async def _run(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._pool.template.start_timeout_seconds
        for _ in range(_ATTEMPTS):
            sandbox = await self._acquire(deadline)
            if sandbox is None:
                await self._end(None)
                return
            if self._egress is not None and not await self._let_out(self._egress, sandbox, deadline):
                await self._end(None)
                return
            report, diagnostics = await self._follow(sandbox)
            if self._started is not None or self._stopped is not None:
                await self._end(report)
                return
            _log.warning("sandbox_died_before_start", sandbox=sandbox.name, said=diagnostics)
            self._pool.release(sandbox)
            self._sandbox = None
        raise RefusedError("start_failed", f"{_ATTEMPTS} sandboxes died before they could start the job")

    async def _acquire(self, deadline: float) -> Sandbox | None:
        """Return a sandbox; None where the job is not wanted any more."""
        if self._stopped is not None:
            return None
        sandbox = self._pool.take()
        if sandbox is None:
            self._warm = False
            self._wait = asyncio.ensure_future(self._pool.wait(deadline))
            try:
                sandbox = await self._wait
            except asyncio.CancelledError:
                if self._stopped is None:
                    raise
                return None
            finally:
                self._wait = None
        self._sandbox = sandbox
        return sandbox

    async def _let_out(self, egress: EgressLink, sandbox: Sandbox, deadline: float) -> bool:
        """Have the proxy know whose sandbox it is before the job can ask it; False where the job is not wanted."""
        request = self._request
        self._wait = asyncio.ensure_future(egress.bind(sandbox.name, request.job_id, request.tenant))
        try:
            async with asyncio.timeout_at(deadline):
                await self._wait
        except TimeoutError:
            # Nothing is wrong with the job, so it goes back to the queue and waits there.
            raise RefusedError("no_capacity", egress.problem or "the egress proxy does not answer") from None
        except asyncio.CancelledError:
            if self._stopped is None:
                raise
            return False
        except LinkError as error:
            raise RefusedError("start_failed", str(error)) from None
        finally:
            self._wait = None
        return True

    async def _follow(self, sandbox: Sandbox) -> tuple[dict[str, Any] | None, str]:
        """Give the sandbox its job and pass on what it says; its report, or None if it died without one."""
        limit = self._pool.template.cpu_seconds
        if limit is not None:
            sandbox.send(cpu_limit_frame(limit))
        sandbox.send(encode_frame(b"J", self._request.payload))
        try:
            while True:
                kind, body = await read_frame(sandbox.output)
                if kind in _OUTPUTS and self._started is not None:
                    await self._pass_on(_OUTPUTS[kind], body)
                elif kind == b"S" and self._started is None:
                    self._start()
                elif kind == b"X" and self._started is None:
                    problem = json.loads(body)
                    raise RefusedError(str(problem["code"]), str(problem["message"]))
                elif kind == b"E" and self._started is not None:
                    return _checked(body), ""
                else:
                    raise FrameError(f"a frame {kind!r} came out of turn")
        except EOFError:
            return None, sandbox.diagnostics()
        except (FrameError, ValueError, KeyError, TypeError) as error:
            _log.error("sandbox_spoke_nonsense", sandbox=sandbox.name, reason=str(error))
            return None, str(error)

    def _start(self) -> None:
        self._started = time.monotonic()
        waited = self._started - self._arrived
        self._writer.write(
            encode_message({"event": "started", "warm": self._warm, "start_ms": round(waited * 1000, 3)})
        )
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self._request.timeout_seconds, self.stop, "timed_out"))
        self._metrics.job_start.labels(self._pool.name, str(self._warm).lower()).observe(waited)

    async def _pass_on(self, name: str, body: bytes) -> None:
        """Send the client its part of an output; the runner has already cut it, and is not relied upon for that."""
        part = body[: MAXIMUM_OUTPUT_BYTES - self._sent[name]]
        self._sent[name] += len(body)
        if self._sent[name] > 2 * MAXIMUM_OUTPUT_BYTES:
            raise FrameError("more output came than a runner passes on")
        if part:
            self._writer.write(encode_message({"event": name}, part))
            async with asyncio.timeout(_CLIENT_SECONDS):
                await self._writer.drain()

    async def _end(self, report: dict[str, Any] | None) -> None:
        """Tell the client how it ended."""
        ended = time.monotonic()
        run_seconds = ended - (self._started or ended)
        oom_killed = bool(report and report["oom_killed"])
        if report is None and self._stopped is None and self._sandbox is not None:
            oom_killed = await self._ran_out_of_memory(self._sandbox)
        reason = self._reason(report)
        signal = report["signal"] if report else None
        message = {
            "event": "ended",
            "reason": reason,
            "exit_code": report["exit_code"] if report and reason == "exited" else None,
            "signal": signal or ("SIGKILL" if reason != "exited" and self._started is not None else None),
            "run_ms": round(run_seconds * 1000, 3),
            "stdout_truncated": bool(report and report["stdout_bytes"] > MAXIMUM_OUTPUT_BYTES),
            "stderr_truncated": bool(report and report["stderr_bytes"] > MAXIMUM_OUTPUT_BYTES),
            "max_memory_bytes": report["max_memory_bytes"] if report else None,
            "cpu_ms": report["cpu_ms"] if report else None,
            "oom_killed": oom_killed,
        }
        self._writer.write(encode_message(message))
        self._count(message, run_seconds)
        async with asyncio.timeout(_CLIENT_SECONDS):
            await self._writer.drain()

    def _reason(self, report: dict[str, Any] | None) -> str:
        """A program that ended by itself has ended by itself, even at the moment it was to be stopped."""
        if report is not None and report["output_limit"]:
            return "output_limit"
        if report is not None and report["cpu_limit"] and report["exit_code"] is None:
            return "cpu_limit"
        if report is not None and (self._stopped is None or report["exit_code"] is not None):
            return "exited"
        return "killed" if self._stopped == _ABANDONED else self._stopped or "sandbox_terminated"

    def _count(self, message: dict[str, Any], run_seconds: float) -> None:
        template, metrics = self._pool.name, self._metrics
        _log.info("run_ended", template=template, warm=self._warm, reason=message["reason"], run_ms=message["run_ms"])
        metrics.ended.labels(template, message["reason"]).inc()
        metrics.execution.labels(template).observe(run_seconds)
        if message["oom_killed"]:
            metrics.out_of_memory.labels(template).inc()
        if message["max_memory_bytes"] is not None:
            metrics.memory.labels(template).observe(message["max_memory_bytes"])
        if message["cpu_ms"] is not None:
            metrics.cpu.labels(template).observe(message["cpu_ms"] / 1000)

    async def _ran_out_of_memory(self, sandbox: Sandbox) -> bool:
        try:
            async with asyncio.timeout(_INSPECT_SECONDS):
                return await self._backend.ran_out_of_memory(sandbox.name)
        except TimeoutError:
            return False

    def stop(self, reason: str) -> None:
        """End the job: the runner is asked, and shortly after the sandbox is cut off whatever it does."""
        if self._stopped is not None:
            return
        self._stopped = reason
        if self._wait is not None:
            self._wait.cancel()
        if self._sandbox is None:
            return
        self._sandbox.send(encode_frame(b"K"))
        if reason == _ABANDONED:
            self._sandbox.abort()
        else:
            self._timers.append(asyncio.get_running_loop().call_later(_KILL_SECONDS, self._sandbox.abort))

    async def _listen(self) -> None:
        """Hear the client's `kill`, and its going away, which destroys the sandbox too."""
        try:
            message = await read_message(self._reader)
            self.stop("killed" if message is not None and message[0].get("op") == "kill" else _ABANDONED)
            if message is not None:
                await read_message(self._reader)
                self.stop(_ABANDONED)
        except (OSError, EOFError, ProtocolError):
            self.stop(_ABANDONED)


def _checked(body: bytes) -> dict[str, Any]:
    """Return the runner's report if every field has its type; raises ValueError."""
    report: Any = json.loads(body)
    if isinstance(report, dict):
        # A runner of an older image, which is given no such limit, does not say that it was kept.
        report = {"cpu_limit": False, **cast("dict[str, Any]", report)}
    kinds: dict[str, tuple[type, ...]] = {
        "exit_code": (int, type(None)),
        "signal": (str, type(None)),
        "output_limit": (bool,),
        "cpu_limit": (bool,),
        "stdout_bytes": (int,),
        "stderr_bytes": (int,),
        "cpu_ms": (int, float),
        "max_memory_bytes": (int, type(None)),
        "oom_killed": (bool,),
    }
    if not isinstance(report, dict) or any(type(report.get(name)) not in kind for name, kind in kinds.items()):
        raise ValueError("the runner's report lacks a field, or holds one of a wrong type")
    return cast("dict[str, Any]", report)
