"""The runtime's roles as processes, for tests that talk to them from outside."""

import contextlib
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

_HERE = Path(__file__).parent
_START_SECONDS = 60.0
TENANTS = 120


def new_key(tenant: str) -> tuple[str, dict[str, str]]:
    """Return a key, and what the API is told of it."""
    key_id = secrets.token_hex(4)
    key = f"fleet_{key_id}_{secrets.token_hex(32)}"
    return key, {"tenant": tenant, "key_id": key_id, "sha256": hashlib.sha256(key.encode()).hexdigest()}


def until(condition: Callable[[], Any], *, seconds: float = 20, what: str = "the condition") -> Any:
    """Wait for a condition, with a limit; returns its value."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        value = condition()
        if value:
            return value
        # The condition is in another process: asking again is all there is.
        subprocess.run(["sleep", "0.05"], check=False)
    raise AssertionError(f"{what} did not come true within {seconds} s")


@dataclass
class Process:
    """One role, and the log that it writes."""

    popen: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return the whole lines of the log so far."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def line(self, event: str, *, seconds: float = _START_SECONDS) -> dict[str, Any]:
        """Wait for an event in the log."""

        def look() -> dict[str, Any] | None:
            if self.popen.poll() is not None and not any(line["event"] == event for line in self.lines()):
                raise AssertionError(f"the process ended with {self.popen.returncode}: {self.log.read_text()[-2000:]}")
            return next((line for line in self.lines() if line["event"] == event), None)

        return until(look, seconds=seconds, what=f"the event {event!r}")

    def kill(self) -> None:
        """End it as the kernel would: at once, with no chance to do anything."""
        self.popen.kill()
        self.popen.wait(timeout=10)

    def terminate(self) -> None:
        """Ask it to end."""
        self.popen.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Make sure that it has ended."""
        if self.popen.poll() is None:
            self.terminate()
            try:
                self.popen.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()


@dataclass
class Stack:
    """An API, its workers, and keys for tenants."""

    database_url: str
    folder: Path
    environment: dict[str, str]
    keys: dict[str, str] = field(default_factory=dict[str, str])
    processes: list[Process] = field(default_factory=list[Process])
    workers: list[Process] = field(default_factory=list[Process])
    url: str = ""
    metrics_url: str = ""

    def start_api(self) -> Process:
        """Start the API, and point `url` at it."""
        api = self._start([sys.executable, "-m", "fleet_runtime", "api"], "api", self.environment)
        line = api.line("api_listening")
        self.url = f"http://127.0.0.1:{line['port']}"
        self.metrics_url = f"http://127.0.0.1:{line['metrics_port']}"
        return api

    def start_worker(self, **settings: str) -> Process:
        """Start a worker on local sandboxes, with settings of its own (FLEET_ is put before them)."""
        own = {f"FLEET_{name}": value for name, value in settings.items()}
        environment = {**self.environment, "FLEET_LOG_LEVEL": "info", **own}
        worker = self._start([sys.executable, str(_HERE / "worker_process.py")], "worker", environment)
        self.workers.append(worker)
        return worker

    def start_pod_worker(self, environment: Mapping[str, str]) -> Process:
        """Start a worker as it is in a cluster; `environment` says where its sandbox pods are."""
        own = {**self.environment, "FLEET_LOG_LEVEL": "info", **environment}
        worker = self._start([sys.executable, "-m", "fleet_runtime", "worker"], "worker", own)
        self.workers.append(worker)
        return worker

    def client(self, tenant: str | None = None) -> httpx.Client:
        """Return a client with a key of a tenant that no other test has."""
        key = self.keys.pop(tenant or next(iter(self.keys)))
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=70)

    def _start(self, command: list[str], name: str, environment: Mapping[str, str]) -> Process:
        log = self.folder / f"{name}-{len(self.processes)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder
            )
        process = Process(popen, log)
        self.processes.append(process)
        return process


@contextlib.contextmanager
def start_stack(database_url: str, *, workers: int = 0, **settings: str) -> Generator[Stack]:
    """Start an API and workers; `settings` are added to every process's environment, FLEET_ before them."""
    keys: dict[str, str] = {}
    told: list[dict[str, str]] = []
    for number in range(TENANTS):
        tenant = f"tenant-{number}"
        keys[tenant], entry = new_key(tenant)
        told.append(entry)
    environment = {
        "FLEET_DATABASE_URL": database_url,
        "FLEET_API_LISTEN": "127.0.0.1:0",
        "FLEET_METRICS_LISTEN": "127.0.0.1:0",
        "FLEET_BOOTSTRAP_KEYS": json.dumps(told),
        "FLEET_LOG_LEVEL": "info",
        **{f"FLEET_{name}": value for name, value in settings.items()},
    }
    with tempfile.TemporaryDirectory(prefix="agent-fleet-test-") as folder:
        stack = Stack(database_url, Path(folder), environment, keys)
        try:
            stack.start_api()
            for _ in range(workers):
                stack.start_worker()
            wanted = 200 if workers else 503
            until(
                lambda: httpx.get(f"{stack.url}/ready", timeout=30).status_code == wanted and _prepared(stack),
                seconds=_START_SECONDS,
                what="the stack",
            )
            yield stack
        finally:
            for process in reversed(stack.processes):
                process.end()


def _prepared(stack: Stack) -> bool:
    return bool(httpx.get(f"{stack.metrics_url}/health", timeout=30).json()["prepared"])
