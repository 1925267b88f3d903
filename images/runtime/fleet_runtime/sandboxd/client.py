"""What a worker uses to run jobs: one connection to sandboxd's socket per operation."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fleet_runtime.sandboxd.protocol import (
    MAXIMUM_OUTPUT_BYTES,
    ProtocolError,
    encode_message,
    read_message,
)

_ANSWER_SECONDS = 10.0
"""How long `count` and `metrics` may take; sandboxd answers both from memory."""

_WORKSPACES_SECONDS = 320.0
"""How long measuring or removing workspaces may take: it reads their folders."""

OnStarted = Callable[[bool, float], None]
"""Called with (warm, start_ms) when the code starts."""
OnOutput = Callable[[str, bytes], None]
"""Called with (stdout or stderr, bytes) for each part of the output that is kept, as soon as it is there."""


@dataclass(frozen=True)
class RunRequest:
    """One attempt at one job of `tenant`. `timeout_seconds` is wall-clock time from the moment the code starts."""

    job_id: str
    attempt: int
    template: str
    timeout_seconds: float
    payload: bytes
    tenant: str = ""
    request_id: str = ""
    trace_id: str = ""
    """Both are for the log alone."""
    workspace: str | None = None
    """The tenant's workspace that is mounted; None for a sandbox without one."""


@dataclass(frozen=True)
class RunResult:
    """How the attempt ended.

    `reason` is exited, timed_out, output_limit, cpu_limit, sandbox_terminated or killed; `exit_code` is None unless the
    program exited by itself. `start_ms` is the wait for a sandbox, `run_ms` the code's wall-clock time, `cpu_ms` the
    processor time of everything the job ran; `max_memory_bytes` includes the scratch space, which is memory. The last
    two are None where the sandbox died before it could tell.
    """

    reason: str
    exit_code: int | None
    signal: str | None
    stdout: bytes
    stderr: bytes
    stdout_truncated: bool
    stderr_truncated: bool
    start_ms: float
    run_ms: float
    warm: bool
    max_memory_bytes: int | None
    cpu_ms: float | None
    oom_killed: bool


@dataclass(frozen=True)
class TemplateCount:
    """Sandboxes of one template: ready and waiting, being started, holding a job; `maximum` caps them together."""

    warm: int
    starting: int
    running: int
    maximum: int


@dataclass(frozen=True)
class PoolCount:
    """What sandboxd can do right now; `reason` says why where it is not healthy."""

    healthy: bool
    reason: str | None
    templates: Mapping[str, TemplateCount]


class SandboxRefused(Exception):  # noqa: N818 - the name the rest of the runtime knows it by
    """sandboxd did not start the job, and nothing of it ran.

    `code` is no_capacity, unknown_template, invalid_request, shutting_down or start_failed.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keep both parts; the text is `code: message`."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class SandboxLost(Exception):  # noqa: N818 - the name the rest of the runtime knows it by
    """The connection to sandboxd broke. Where `started` is true the job's code may have run, in part or whole."""

    def __init__(self, message: str, *, started: bool) -> None:
        """Keep whether the job had been reported as started."""
        super().__init__(message)
        self.started = started


class Sandboxes(Protocol):
    """Where jobs run: sandboxd on this host, or pods of a cluster."""

    async def run(
        self,
        request: RunRequest,
        *,
        kill: asyncio.Event,
        on_started: OnStarted | None = None,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run one job to its end; raises SandboxRefused or SandboxLost."""
        ...

    async def count(self) -> PoolCount:
        """Return what can run now; raises SandboxLost."""
        ...

    async def metrics(self) -> str:
        """Return metrics in Prometheus's text format; raises SandboxLost."""
        ...


class SandboxdClient:
    """Sandboxes behind sandboxd's Unix socket."""

    def __init__(self, socket_path: str | Path) -> None:
        """Remember the path; nothing is opened before the first operation."""
        self._path = str(socket_path)

    async def run(
        self,
        request: RunRequest,
        *,
        kill: asyncio.Event,
        on_started: OnStarted | None = None,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run one job and return how it ended.

        Setting `kill` ends the job with reason `killed`; cancelling this call closes the connection, which destroys
        the sandbox. Both callbacks are called from this task and must not block.
        """
        header = {
            "op": "run",
            "template": request.template,
            "job_id": request.job_id,
            "attempt": request.attempt,
            "timeout_seconds": request.timeout_seconds,
            "tenant": request.tenant,
            "request_id": request.request_id,
            "trace_id": request.trace_id,
            **({} if request.workspace is None else {"workspace": request.workspace}),
        }
        answer = _Answer(on_started, on_output)
        async with self._connection(answer) as (reader, writer):
            writer.write(encode_message(header, request.payload))
            killer = asyncio.create_task(_send_kill(kill, writer))
            try:
                while True:
                    message = await read_message(reader)
                    if message is None:
                        raise SandboxLost("sandboxd closed the connection", started=answer.started)
                    result = answer.take(*message)
                    if result is not None:
                        return result
            finally:
                killer.cancel()

    async def count(self) -> PoolCount:
        """Return the pools' state."""
        header, _ = await self._ask({"op": "count"})
        templates = {name: TemplateCount(**_known(value)) for name, value in header["templates"].items()}
        return PoolCount(bool(header["healthy"]), header.get("reason"), templates)

    async def metrics(self) -> str:
        """Return sandboxd's metrics."""
        _, body = await self._ask({"op": "metrics"})
        return body.decode()

    async def workspace_sizes(self) -> dict[tuple[str, str], int]:
        """Return the bytes of each workspace of the host, by tenant and name."""
        _, body = await self._ask({"op": "workspaces"}, _WORKSPACES_SECONDS)
        return {(each["tenant"], each["workspace"]): int(each["size_bytes"]) for each in json.loads(body)}

    async def remove_workspace(self, tenant: str, workspace: str) -> bool:
        """Remove one, and say whether there was one; raises SandboxRefused where a job has it."""
        header = {"op": "remove_workspace", "tenant": tenant, "workspace": workspace}
        return bool((await self._ask(header, _WORKSPACES_SECONDS))[0]["removed"])

    async def _ask(self, header: Mapping[str, Any], seconds: float = _ANSWER_SECONDS) -> tuple[dict[str, Any], bytes]:
        try:
            async with asyncio.timeout(seconds), self._connection(_Answer()) as (reader, writer):
                writer.write(encode_message(header))
                message = await read_message(reader)
        except TimeoutError:
            raise SandboxLost(f"sandboxd did not answer within {seconds:.0f} s", started=False) from None
        if message is None:
            raise SandboxLost("sandboxd closed the connection", started=False)
        if message[0].get("event") == "refused":
            raise SandboxRefused(str(message[0].get("code")), str(message[0].get("message")))
        return message

    @contextlib.asynccontextmanager
    async def _connection(self, answer: "_Answer") -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=2 * MAXIMUM_OUTPUT_BYTES)
        except OSError as error:
            raise SandboxLost(f"sandboxd cannot be reached at {self._path}: {error}", started=False) from error
        try:
            yield reader, writer
        except (OSError, EOFError, ProtocolError, KeyError, TypeError) as error:
            raise SandboxLost(f"the connection to sandboxd broke: {error!r}", started=answer.started) from error
        finally:
            writer.transport.abort()


class _Answer:
    """Collects the events of one run."""

    def __init__(self, on_started: OnStarted | None = None, on_output: OnOutput | None = None) -> None:
        self.started = False
        self._on_started = on_started
        self._on_output = on_output
        self._warm = False
        self._start_ms = 0.0
        self._outputs = {"stdout": bytearray(), "stderr": bytearray()}

    def take(self, header: dict[str, Any], body: bytes) -> RunResult | None:
        match header["event"]:
            case "started":
                self.started, self._warm, self._start_ms = True, bool(header["warm"]), float(header["start_ms"])
                if self._on_started is not None:
                    self._on_started(self._warm, self._start_ms)
            case "stdout" | "stderr" as name:
                kept = self._outputs[name]
                part = body[: MAXIMUM_OUTPUT_BYTES - len(kept)]
                kept += part
                if part and self._on_output is not None:
                    self._on_output(name, part)
            case "refused":
                raise SandboxRefused(str(header["code"]), str(header["message"]))
            case "ended":
                return self._result(header)
            case other:
                raise ProtocolError(f"unknown event {other!r}")
        return None

    def _result(self, header: dict[str, Any]) -> RunResult:
        return RunResult(
            reason=header["reason"],
            exit_code=header["exit_code"],
            signal=header["signal"],
            stdout=bytes(self._outputs["stdout"]),
            stderr=bytes(self._outputs["stderr"]),
            stdout_truncated=header["stdout_truncated"],
            stderr_truncated=header["stderr_truncated"],
            start_ms=self._start_ms,
            run_ms=header["run_ms"],
            warm=self._warm,
            max_memory_bytes=header["max_memory_bytes"],
            cpu_ms=header["cpu_ms"],
            oom_killed=header["oom_killed"],
        )


async def _send_kill(kill: asyncio.Event, writer: asyncio.StreamWriter) -> None:
    await kill.wait()
    writer.write(encode_message({"op": "kill"}))


def _known(value: Mapping[str, Any]) -> dict[str, int]:
    """Keep the counts that this version knows, so that a newer sandboxd may add others."""
    return {name: int(value[name]) for name in ("warm", "starting", "running", "maximum")}
