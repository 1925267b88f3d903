"""A fleet deployed by the project's own commands, under a name, a port and settings of its own."""

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from docker import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from tests.runtime.free_ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
FLEET_LABEL = "agent-fleet.fleet"
ROLE_LABEL = "agent-fleet.role"
TERMINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled", "lost"})


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Ask until `condition` gives something true, and return it; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        threading.Event().wait(0.1)
    return found


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    seconds: float


@dataclass
class DeployedStack:
    """One stack. `folder` holds its settings file; what `make` needs beside that is the checkout's own."""

    folder: Path
    docker: DockerClient
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:8]}")
    port: int = field(default_factory=free_port)

    @property
    def fleet(self) -> str:
        """The label's value, and the beginning of every name."""
        return f"agent-fleet-{self.name}"

    @property
    def settings_file(self) -> Path:
        """What CONFIG= names."""
        return self.folder / f"Pulumi.{self.name}.yaml"

    @property
    def state_file(self) -> Path:
        """The engine's state of this stack."""
        return CHECKOUT / ".fleet" / "state" / ".pulumi" / "stacks" / "agent-fleet" / f"{self.name}.json"

    def write_settings(self, **sections: Mapping[str, Any]) -> None:
        """Write the settings file: small pools, and `sections` on top of them."""
        fleet: dict[str, Any] = {
            "architecture": "vm",
            "target": "docker",
            "api": {"port": self.port},
            "workers": {"concurrency": 2, "drain_seconds": 10},
            "sandbox": {"warm": 2, "maximum": 4},
        }
        for name, section in sections.items():
            fleet[name] = {**fleet.get(name, {}), **section}
        self.settings_file.write_text(yaml.safe_dump({"config": {"agent-fleet:fleet": fleet}}))

    def command(self, goal: str) -> list[str]:
        """The command line that a user would type."""
        words = ["make", "--no-print-directory", goal, f"STACK={self.name}"]
        return [*words, f"CONFIG={self.settings_file}"] if goal in ("up", "preview") else words

    def start(self, goal: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            self.command(goal),
            cwd=CHECKOUT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def make(self, goal: str, seconds: float = 420) -> Ended:
        """Run a command to its end."""
        begun = time.monotonic()
        process = self.start(goal)
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            kill_group(process)
            output, _ = process.communicate()
            raise AssertionError(f"make {goal} had not ended after {seconds:.0f} s:\n{output}") from None
        except BaseException:
            # A test's own time limit: a run that went on would hold the stack's lock, and no later test could deploy.
            kill_group(process)
            raise
        return Ended(process.returncode, output, time.monotonic() - begun)

    def succeed(self, goal: str) -> Ended:
        """Run a command that must succeed."""
        ended = self.make(goal)
        assert ended.code == 0, ended.output
        return ended

    def remove(self) -> None:
        """Take the stack away, by its own command and, where that fails, by its label."""
        with suppress(AssertionError):
            self.make("down")
        for container in self.containers(every=True):
            with suppress(NotFound):
                container.remove(force=True, v=True)
        for network in self.docker.networks.list(filters={"label": f"{FLEET_LABEL}={self.fleet}"}):
            with suppress(NotFound):
                network.remove()
        for volume in self.docker.volumes.list(filters={"label": f"{FLEET_LABEL}={self.fleet}"}):
            with suppress(NotFound):
                volume.remove(force=True)
        built = (tag for image in self.docker.images.list() for tag in image.tags if tag.startswith("agent-fleet/"))
        for tag in built:
            # An agent type's image has the type's name behind the fleet's.
            if tag.partition(":")[2].startswith(self.fleet):
                with suppress(NotFound):
                    self.docker.images.remove(tag)
        for folder in ("logs", "locks"):
            for path in (CHECKOUT / ".fleet" / folder).glob(f"{self.name}[-.]*"):
                path.unlink(missing_ok=True)

    def containers(self, role: str | None = None, *, every: bool = False) -> list[Container]:
        """The fleet's containers, sandboxes included; those that run, or every one."""
        labels = [f"{FLEET_LABEL}={self.fleet}"] + ([f"{ROLE_LABEL}={role}"] if role else [])
        return self.docker.containers.list(all=every, filters={"label": labels}, ignore_removed=True)

    def container(self, role: str) -> Container:
        """The one container of a role."""
        (found,) = self.containers(role, every=True)
        return found

    def objects(self) -> set[str]:
        """Everything in Docker that carries the fleet's name or label."""
        label = {"label": f"{FLEET_LABEL}={self.fleet}"}
        names = {str(each.name) for each in self.docker.containers.list(all=True, ignore_removed=True)}
        names |= {str(each.name) for each in self.docker.networks.list()}
        names |= {str(each.name) for each in self.docker.volumes.list()}
        labelled = {str(each.name) for each in self.containers(every=True)}
        labelled |= {str(each.name) for each in self.docker.networks.list(filters=label)}
        labelled |= {str(each.name) for each in self.docker.volumes.list(filters=label)}
        return labelled | {name for name in names if name.startswith(self.fleet)}

    def endpoint(self) -> tuple[str, str]:
        """The URL and the API key that `make up` wrote down."""
        written = json.loads((CHECKOUT / ".fleet" / f"{self.name}.json").read_text())
        return written["url"], written["api_key"]

    def client(self) -> httpx.Client:
        """A client with the key, and without any proxy of this machine."""
        url, key = self.endpoint()
        return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=90)

    def run(self, seconds: float = 180, **job: Any) -> dict[str, Any]:
        """Send a job and return its result."""
        with self.client() as client:
            answer = client.post("/execute", json=job, headers={"Prefer": "wait=60"})
            assert answer.status_code in (200, 202), answer.text
            return self.result(client, answer.json()["id"], seconds)

    def result(self, client: httpx.Client, job: str, seconds: float) -> dict[str, Any]:
        """Wait until a job has ended, and return its result; an API that is away for a moment is asked again."""

        def ended() -> dict[str, Any] | None:
            try:
                answer = client.get(f"/result/{job}", headers={"Prefer": "wait=10"})
            except httpx.TransportError:
                return None
            assert answer.status_code in (200, 202, 503), answer.text
            found = answer.json()
            return found if found.get("status") in TERMINAL else None

        return wait_for(ended, f"the job {job} ends", seconds)


@dataclass(frozen=True)
class FirstUp:
    """A stack and what its first `make up` said."""

    stack: DeployedStack
    ended: Ended


NewStack = Callable[[], DeployedStack]


def environment() -> dict[str, str]:
    """This process's environment without what a test run sets for itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PULUMI_", "MAKE"))}


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a command and everything that stayed in its process group, without a warning."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
