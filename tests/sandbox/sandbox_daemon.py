"""A sandboxd of the tests' own: a real process that makes real sandboxes, with its own fleet name and socket."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import PoolCount, RunRequest, RunResult, SandboxdClient, SandboxLost
from made_sandboxes import Made

PROJECT = Path(__file__).parents[2]
_PROGRAMS = Path(__file__).parent / "programs"
MEBIBYTE = 1024 * 1024
TEMPLATE: Mapping[str, Any] = {
    "memory_bytes": 192 * MEBIBYTE,
    "cpus": 1.0,
    "pids": 64,
    "scratch_bytes": 64 * MEBIBYTE,
    "warm": 2,
    "maximum": 4,
    "start_timeout_seconds": 20,
}


@dataclass
class Daemon:
    """One sandboxd process and what the tests want of it."""

    folder: Path
    templates: Mapping[str, Mapping[str, Any]]
    fleet: str = field(default_factory=lambda: f"sandbox-test-{secrets.token_hex(4)}")
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    command: Sequence[str] = (sys.executable, "-m", "fleet_runtime", "sandboxd")
    made: Made | None = None
    """How its sandboxes are made; None where that is no host's matter."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "sandboxd.sock"

    @property
    def client(self) -> SandboxdClient:
        """A client of it."""
        return SandboxdClient(self.socket)

    def start(self) -> None:
        """Start the process and wait until it listens."""
        self.socket.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "FLEET_NAME": self.fleet,
            "FLEET_SANDBOXD_SOCKET": str(self.socket),
            "FLEET_SANDBOX_TEMPLATES": json.dumps(self.templates),
            **(self.made.environment if self.made is not None else {}),
            **self.environment,
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self.socket.exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            threading.Event().wait(0.02)

    def send_signal(self, number: signal.Signals, seconds: float = 30) -> int:
        """Send a signal and wait for the process to end; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def stop(self) -> None:
        """Stop it as an orchestrator does, and leave nothing of it whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.send_signal(signal.SIGTERM)
            except subprocess.TimeoutExpired:
                self.send_signal(signal.SIGKILL)
        self.clean()

    def clean(self) -> None:
        """Remove every sandbox of it that is left."""
        if self.made is not None:
            self.made.remove_all(self.fleet)

    def sandboxes(self) -> set[str]:
        """The names of all its sandboxes, running or not, as seen from outside of it."""
        assert self.made is not None
        return self.made.names(self.fleet)

    def kill_first_process(self, sandbox: str) -> None:
        """End a sandbox from outside."""
        assert self.made is not None
        os.kill(self.made.processes(self.fleet, sandbox)[0], signal.SIGKILL)

    async def count(self) -> PoolCount | None:
        """What it counts, or None while it does not answer."""
        try:
            return await self.client.count()
        except SandboxLost:
            return None

    async def warm(self, template: str = "default", seconds: float = 30) -> None:
        """Wait until the pool is as it should be at rest."""
        wanted = self.templates[template]["warm"]

        async def is_warm() -> bool:
            count = await self.count()
            return count is not None and count.healthy and count.templates[template].warm >= wanted

        await eventually(is_warm, seconds, f"the pool of {template} to be warm: {self.log()[-2000:]}")

    def log(self) -> str:
        """What it has logged so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def run(
        self,
        language: str,
        code: str,
        *,
        stdin: bytes | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_seconds: float = 20,
        template: str = "default",
        kill: asyncio.Event | None = None,
        started: asyncio.Event | None = None,
        tenant: str = "",
        workspace: str | None = None,
    ) -> RunResult:
        """Run one job; `started` is set when its code starts."""
        payload = encode(language, code, stdin, files or {})
        request = RunRequest(
            secrets.token_hex(8), 1, template, timeout_seconds, payload, tenant=tenant, workspace=workspace
        )

        def start(warm: bool, start_ms: float) -> None:
            del warm, start_ms
            if started is not None:
                started.set()

        return await self.client.run(request, kill=kill or asyncio.Event(), on_started=start)


def programs(kind: str) -> list[str]:
    """The names of the programs of one kind in the folder beside; their ending is their language."""
    return sorted(f"{kind}/{path.name}" for path in (_PROGRAMS / kind).iterdir())


def source(name: str) -> str:
    """The text of one of them."""
    return (_PROGRAMS / name).read_text()


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
    """Wait for a condition, with a limit."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.05)
