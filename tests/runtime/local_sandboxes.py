"""Sandboxes without a sandbox: jobs run as child processes, for tests of the queue and the API.

The first line of a job's code may make the sandbox fail: `#sandbox: lost`, `#sandbox: refuse CODE` or
`#sandbox: terminated`. The real sandboxd has tests of its own.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from fleet_runtime.agent_script import WORKSPACE_FOLDER
from fleet_runtime.payload import PAYLOAD_FILES, PROGRAM, Payload, decode
from fleet_runtime.sandboxd.client import (
    OnOutput,
    OnStarted,
    PoolCount,
    RunRequest,
    RunResult,
    SandboxLost,
    SandboxRefused,
    TemplateCount,
)

_KEPT_BYTES = 1_048_576
_RUNNER = Path(__file__).resolve().parents[2] / "images" / "sandbox"
_BECOME = f"""
import sys
sys.path.insert(0, {str(_RUNNER)!r})
from fleet_sandbox.program import become_program
become_program(sys.argv[1])
"""
_INTERPRETERS = {
    "python": [sys.executable, "-S"],
    "bash": ["bash"],
    "node": ["node"],
    PROGRAM: [sys.executable, "-S", "-c", _BECOME],
}


class LocalSandboxes:
    """Implements `Sandboxes`. An empty program does not even start a process."""

    def __init__(self, maximum: int = 1_000, claimed_maximum: int | None = None, template: str = "default") -> None:
        """Run at most `maximum` jobs at once, and say that it were `claimed_maximum`."""
        self.template = template
        self.workspaces: dict[tuple[str, str], str] = {}
        self.written: set[tuple[str, str]] = set()
        self.maximum = maximum
        self.claimed_maximum = claimed_maximum or maximum
        self.running = 0

    async def run(
        self,
        request: RunRequest,
        *,
        kill: asyncio.Event,
        on_started: OnStarted | None = None,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run a job in a folder of its own."""
        if self.running >= self.maximum:
            raise SandboxRefused("no_capacity", f"all {self.maximum} sandboxes are taken")
        payload = decode(request.payload)
        self.running += 1
        try:
            first_line = payload.code.partition("\n")[0]
            if first_line.startswith("#sandbox: refuse "):
                raise SandboxRefused(first_line.split()[-1], "the test asked for it")
            if on_started is not None:
                on_started(True, 0.5)
            if first_line == "#sandbox: lost":
                raise SandboxLost("the test asked for it", started=True)
            if first_line == "#sandbox: terminated":
                return _result("sandbox_terminated", None, None, b"before the end", b"", 1.0)
            if not payload.code:
                return _result("exited", 0, None, b"", b"", 0.1)
            with self._workspace(request) as folder:
                code = payload.code.replace(WORKSPACE_FOLDER, folder)
                return await self._run(replace(payload, code=code), request.timeout_seconds, kill, on_output or _nobody)
        finally:
            self.running -= 1

    async def workspace_sizes(self) -> dict[tuple[str, str], int]:
        """The lengths of the files in each."""
        return {key: _size(Path(folder)) for key, folder in self.workspaces.items()}

    @contextlib.contextmanager
    def _workspace(self, request: RunRequest) -> Generator[str]:
        """A folder in the workspace's stead; a second job in it would be a second writer."""
        if request.workspace is None:
            yield WORKSPACE_FOLDER
            return
        key = request.tenant, request.workspace
        if key in self.written:
            raise SandboxRefused("invalid_request", "the workspace has two writers")
        self.written.add(key)
        try:
            yield self.workspaces.setdefault(key, tempfile.mkdtemp(dir=Path.cwd()))
        finally:
            self.written.discard(key)

    async def _run(
        self, payload: Payload, timeout_seconds: float, kill: asyncio.Event, on_output: OnOutput
    ) -> RunResult:
        with tempfile.TemporaryDirectory() as folder:
            _lay_out(payload, Path(folder))
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *_INTERPRETERS[payload.language],
                PAYLOAD_FILES[payload.language],
                cwd=folder,
                # A program that ends before its input is written makes uvloop fail, even where there is none.
                stdin=asyncio.subprocess.PIPE if payload.stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            talking = asyncio.create_task(_talk(process, payload.stdin, on_output))
            killed = asyncio.create_task(kill.wait())
            try:
                await asyncio.wait({talking, killed}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
                reason = "exited" if talking.done() else "killed" if kill.is_set() else "timed_out"
            finally:
                killed.cancel()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = await talking
            code = process.returncode or 0
            exit_code = code if reason == "exited" and code >= 0 else None
            name = signal.Signals(-code).name if code < 0 else None
            return _result(reason, exit_code, name, stdout, stderr, (time.monotonic() - started) * 1000)

    async def count(self) -> PoolCount:
        """Say that all is well, or nothing."""
        template = TemplateCount(warm=1, starting=0, running=self.running, maximum=self.claimed_maximum)
        return PoolCount(True, None, {self.template: template})

    async def metrics(self) -> str:
        """Give one metric of sandboxd's."""
        return "# TYPE containers_started_total counter\ncontainers_started_total 1.0\n"


def _nobody(_name: str, _part: bytes) -> None:
    pass


async def _talk(process: asyncio.subprocess.Process, stdin: bytes | None, on_output: OnOutput) -> tuple[bytes, bytes]:
    """Give a process its input and read both outputs as they come, to their ends."""
    outputs = {"stdout": bytearray(), "stderr": bytearray()}

    async def read(name: str, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (part := await stream.read(65_536)):
            kept = part[: max(0, _KEPT_BYTES - len(outputs[name]))]
            outputs[name] += part
            if kept:
                on_output(name, kept)

    async def write() -> None:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(stdin or b"")
                await process.stdin.drain()
            process.stdin.close()

    await asyncio.gather(read("stdout", process.stdout), read("stderr", process.stderr), write())
    await process.wait()
    return bytes(outputs["stdout"]), bytes(outputs["stderr"])


def _lay_out(payload: Payload, folder: Path) -> None:
    for name, content in {PAYLOAD_FILES[payload.language]: payload.code.encode(), **payload.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _result(
    reason: str, exit_code: int | None, signal_name: str | None, stdout: bytes, stderr: bytes, run_ms: float
) -> RunResult:
    return RunResult(
        reason=reason,
        exit_code=exit_code,
        signal=signal_name,
        stdout=stdout[:_KEPT_BYTES],
        stderr=stderr[:_KEPT_BYTES],
        stdout_truncated=len(stdout) > _KEPT_BYTES,
        stderr_truncated=len(stderr) > _KEPT_BYTES,
        start_ms=0.5,
        run_ms=run_ms,
        warm=True,
        max_memory_bytes=10_000_000,
        cpu_ms=1.0,
        oom_killed=False,
    )
