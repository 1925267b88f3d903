"""The whole service as processes that are started again whenever they end, as systemd, Docker or Kubernetes would."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psycopg
from fleet_runtime.sandboxd.client import SandboxdClient
from postgres_server import ContainerServer, NoServerError
from private_docker import PrivateDocker
from runtime_processes import new_key

from tests.runtime.free_ports import free_port

_LOOK_SECONDS = 0.1
_STOP_SECONDS = 40
_LEASE_SECONDS = 6


class Part(Protocol):
    """One thing that can be killed."""

    def alive(self) -> bool:
        """Whether it runs."""
        ...

    def start(self) -> None:
        """Start it again."""
        ...

    def kill(self) -> None:
        """Kill it without a warning."""
        ...


class Role:
    """One role of the runtime image, as a process."""

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path) -> None:
        """Nothing is started."""
        self.name = name
        self._environment = {**os.environ, **environment}
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; what it says goes to its log."""
        role = self.name.partition("-")[0]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fleet_runtime", role], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Kill it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """Stop it as an orchestrator does."""
        if self.alive():
            assert self._process is not None
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        if self.alive():
            self.kill()

    def log(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""


class ContainerPart:
    """A server in a container of the machine's Docker."""

    def __init__(self, name: str, start: Callable[[], None]) -> None:
        """Take one that runs; `start` starts it again and returns when it answers."""
        self._name = name
        self._start = start
        self._alive = True
        self._lock = threading.Lock()

    def alive(self) -> bool:
        """Whether it was not killed."""
        return self._alive

    def start(self) -> None:
        """Start the container again; one that is not ready in time is started once more."""
        with self._lock, suppress(NoServerError):
            self._start()
            self._alive = True

    def kill(self) -> None:
        """Kill all of its processes at once."""
        with self._lock:
            subprocess.run(["docker", "kill", self._name], capture_output=True, check=True, timeout=60)
            self._alive = False


class DockerPart:
    """The daemon that the sandboxes run in."""

    def __init__(self, daemon: PrivateDocker) -> None:
        """Take a daemon that runs."""
        self._daemon = daemon

    def alive(self) -> bool:
        """Whether its process is there."""
        return self._daemon.alive

    def start(self) -> None:
        """Start it again."""
        self._daemon.start()

    def kill(self) -> None:
        """Kill it."""
        self._daemon.kill()


class KeptService:
    """API, two workers, sandboxd, PostgreSQL and Docker; a thread starts again what has ended."""

    def __init__(
        self, folder: Path, daemon: PrivateDocker, image: str, *, doorbell: Mapping[str, str], parts: Mapping[str, Part]
    ) -> None:
        """Start all of it; `parts` are others that are to be kept and killed, `doorbell` the roles' settings for it."""
        self.key, told = new_key("chaos")
        self._database = ContainerServer.create(durable=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.database_url = self._database.url
        socket_path = daemon.folder / "sandboxd.sock"
        self.sandboxd = SandboxdClient(socket_path)
        common = {
            "FLEET_NAME": f"chaos-{os.getpid()}",
            "FLEET_DATABASE_URL": self.database_url,
            "FLEET_METRICS_LISTEN": "127.0.0.1:0",
            "FLEET_LOG_LEVEL": "info",
            "FLEET_SANDBOXD_SOCKET": str(socket_path),
            "FLEET_SWEEP_SECONDS": "1",
            **doorbell,
        }
        worker = {
            **common,
            "FLEET_CONCURRENCY": "3",
            "FLEET_LEASE_SECONDS": str(_LEASE_SECONDS),
            "FLEET_LEASE_RENEW_SECONDS": "2",
        }
        template = {
            "image": image,
            "memory_bytes": 192 << 20,
            "pids": 64,
            "scratch_bytes": 16 << 20,
            "warm": 4,
            "maximum": 8,
        }
        sandboxes = {
            **common,
            "FLEET_DOCKER_HOST": daemon.host,
            "FLEET_SANDBOX_TEMPLATES": json.dumps({"default": template}),
        }
        api = {**common, "FLEET_API_LISTEN": f"127.0.0.1:{port}", "FLEET_BOOTSTRAP_KEYS": json.dumps([told])}
        self.warm = 4
        self.roles = {
            "api": Role("api", api, folder),
            "worker-a": Role("worker-a", worker, folder),
            "worker-b": Role("worker-b", worker, folder),
            "sandboxd": Role("sandboxd", sandboxes, folder),
        }
        self.parts: dict[str, Part] = {
            **self.roles,
            "database": ContainerPart(self._database.name, self._database.start),
            "docker": DockerPart(daemon),
            **parts,
        }
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self._keeper.start()

    def connection(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to its database; raises psycopg.OperationalError while that is away."""
        return psycopg.connect(self.database_url, autocommit=True, connect_timeout=5)

    def logs(self) -> str:
        """The end of every role's log, for a failure's message."""
        return "\n".join(f"--- {name}\n{role.log()}" for name, role in self.roles.items())

    def stop_keeping(self) -> None:
        """Start nothing again from now on."""
        self._ending.set()
        self._keeper.join(120)

    def remove(self) -> None:
        """Stop everything that was started here."""
        self.stop_keeping()
        for role in self.roles.values():
            role.stop()
        self._database.remove()

    def _keep(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            for part in self.parts.values():
                if not part.alive():
                    # What does not come up is tried again, as a supervisor would.
                    with suppress(AssertionError, OSError, subprocess.SubprocessError):
                        part.start()
