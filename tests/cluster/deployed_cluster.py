"""A fleet in a cluster, deployed by the project's own commands under a name and settings of its own."""

import base64
import copy
import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import kr8s
import yaml

from engine.targets.cluster_client import ApiError, ClusterClient
from engine.targets.cluster_objects import ClusterObject, FleetObjects
from engine.targets.kubeconfig import Kubeconfig
from tests.stack.deployed_stack import CHECKOUT, TERMINAL, Ended, environment, kill_group, wait_for

__all__ = ["CHECKOUT", "Ended", "Fleet", "kill_group", "wait_for"]

Settings = dict[str, Any]


def small_settings(kubeconfig: Path, images: Mapping[str, Any], node_port: int) -> Settings:
    """One team with one pool, as little as a fleet can be."""
    return {
        "architecture": "cluster",
        "target": "existing",
        "cluster": {"kubeconfig": str(kubeconfig), "network_canary": "report"},
        "limits": {"task_timeout_seconds": 120},
        "api": {"replicas": 1},
        "database": {"storage_gibibytes": 1},
        "workspace": {"storage_gibibytes": 1},
        "exposure": {"kind": "node_port", "node_port": node_port},
        "images": dict(images),
        "agent_types": {
            name: {
                "requests": {"cpus": 0.2, "memory_mebibytes": 256},
                "sandbox": {"memory_mebibytes": 192, "cpus": 0.1, "scratch_mebibytes": 32},
            }
            for name in ("testing", "security")
        },
        "teams": {"alpha": {"pools": {"testing": pool()}}},
    }


def pool(**changes: Any) -> Settings:
    """One pod without an autoscaler, with two sandboxes."""
    return {"minimum": 1, "maximum": 1, "autoscaler": "none", "concurrency": 1, "warm": 1, "sandboxes": 3} | changes


@dataclass
class Fleet:
    """One stack in one cluster. `folder` holds its settings file."""

    folder: Path
    kubeconfig: Path
    images: Mapping[str, Any]
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:6]}")

    def __post_init__(self) -> None:
        """Connect, and begin with the small settings."""
        self.client = ClusterClient(Kubeconfig(self.kubeconfig, None, "the test"))
        self.client.connect()
        self.settings = small_settings(self.kubeconfig, self.images, self._free_node_port())
        self.write()

    @cached_property
    def api(self) -> kr8s.Api:
        """The same for objects of kr8s, whose requests all come from one thread of this process."""
        return kr8s.api(kubeconfig=str(self.kubeconfig))

    def _free_node_port(self) -> int:
        services = self.client.get("/api/v1/services")["items"]
        taken = {port.get("nodePort") for service in services for port in service["spec"].get("ports", [])}
        return random.choice([port for port in range(30100, 32700) if port not in taken])

    @property
    def label(self) -> str:
        """The label's value, and the name of the system namespace."""
        return f"agent-fleet-{self.name}"

    @property
    def settings_file(self) -> Path:
        """What CONFIG= names."""
        return self.folder / f"Pulumi.{self.name}.yaml"

    @property
    def state_file(self) -> Path:
        """The engine's state of this stack."""
        return CHECKOUT / ".fleet" / "state" / ".pulumi" / "stacks" / "agent-fleet" / f"{self.name}.json"

    def write(self) -> None:
        """Write the settings file as `settings` has it."""
        self.settings_file.write_text(yaml.safe_dump({"config": {"agent-fleet:fleet": self.settings}}))

    @contextmanager
    def changed(self) -> Generator[Settings]:
        """Settings to change in the block; they are as before after it, though nothing is deployed again."""
        before = copy.deepcopy(self.settings)
        try:
            yield self.settings
        finally:
            self.settings = before
            self.write()

    def start(self, goal: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        words = ["make", "--no-print-directory", goal, f"STACK={self.name}"]
        words += [f"CONFIG={self.settings_file}"] if goal in ("up", "preview") else []
        return subprocess.Popen(
            [*words, *(f"{name}={value}" for name, value in variables.items())],
            cwd=CHECKOUT,
            env=environment() | {"KUBECONFIG": str(self.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def make(self, goal: str, seconds: float = 420, **variables: str) -> Ended:
        """Run a command to its end."""
        self.write()
        begun = time.monotonic()
        process = self.start(goal, **variables)
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

    def succeed(self, goal: str, **variables: str) -> Ended:
        """Run a command that must succeed."""
        ended = self.make(goal, 420, **variables)
        assert ended.code == 0, ended.output
        return ended

    def engine(self, *arguments: str) -> str:
        """Run a command of the engine with options that `make` does not pass on; all that it said."""
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=CHECKOUT,
            env=environment() | {"KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return ended.stdout + ended.stderr

    @staticmethod
    def decoded(value: str) -> str:
        """A value of a Secret in clear."""
        return base64.b64decode(value).decode(errors="replace")

    def objects(self) -> list[ClusterObject]:
        """Everything in the cluster with the fleet's label that nothing else owns."""
        return FleetObjects(self.client, self.label).labelled()

    def names(self) -> set[str]:
        """The same, as people name it."""
        return {str(each) for each in self.objects()}

    def namespaces(self) -> set[str]:
        """Namespaces of the fleet, by label and by name."""
        return {
            item["metadata"]["name"]
            for item in self.client.get("/api/v1/namespaces")["items"]
            if item["metadata"]["name"].startswith(self.label)
            or (item["metadata"].get("labels") or {}).get("agent-fleet.fleet") == self.label
        }

    def pods(self, role: str, team: str = "alpha", pool: str = "testing") -> list[dict[str, Any]]:
        """Pods of one role that are not going: `pool` and `sandbox` of one pool, `api` and `database` of the fleet."""
        selector = f"agent-fleet.fleet={self.label},agent-fleet.role={role}"
        if role in ("pool", "sandbox"):
            selector += f",agent-fleet.team={team},agent-fleet.pool={pool}"
        return [
            pod
            for pod in self.client.get("/api/v1/pods", labelSelector=selector)["items"]
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def remove(self) -> None:
        """Take the stack away, by its own command and, where that fails, by its label."""
        with suppress(AssertionError):
            self.make("down", FORCE="yes")
        with suppress(ApiError):
            for namespace in self.namespaces():
                self.client.delete(f"/api/v1/namespaces/{namespace}")
        for folder in ("logs", "locks"):
            for path in (CHECKOUT / ".fleet" / folder).glob(f"{self.name}[-.]*"):
                path.unlink(missing_ok=True)
        self.client.close()

    def endpoint(self) -> dict[str, Any]:
        """What `make up` wrote down."""
        return json.loads((CHECKOUT / ".fleet" / f"{self.name}.json").read_text())

    def http(self, team: str = "alpha", **options: Any) -> httpx.Client:
        """A client with a team's key, and without any proxy of this machine."""
        written = self.endpoint()
        headers = {"Authorization": f"Bearer {written['api_keys'][team]}"}
        return httpx.Client(base_url=written["url"], headers=headers, trust_env=False, timeout=90, **options)

    def send(self, team: str = "alpha", agent_type: str = "", **job: Any) -> str:
        """Send a job; its id."""
        headers = {"agent-type": agent_type} if agent_type else {}
        with self.http(team) as client:
            answer = client.post("/execute", json=job, headers=headers)
            assert answer.status_code in (200, 202), answer.text
            return answer.json()["id"]

    def status(self, job: str, team: str = "alpha") -> str:
        """How far a job is; empty while the API is away."""
        with suppress(httpx.TransportError), self.http(team) as client:
            return str(client.get(f"/result/{job}").json().get("status", ""))
        return ""

    def result(self, job: str, seconds: float = 120, team: str = "alpha") -> dict[str, Any]:
        """Wait until a job has ended, and return its result; an API that is away for a moment is asked again."""

        def ended() -> dict[str, Any] | None:
            with suppress(httpx.TransportError), self.http(team) as client:
                found = client.get(f"/result/{job}", headers={"Prefer": "wait=5"}).json()
                return found if found.get("status") in TERMINAL else None
            return None

        return wait_for(ended, f"the job {job} ends", seconds)

    def run(self, seconds: float = 120, team: str = "alpha", agent_type: str = "", **job: Any) -> dict[str, Any]:
        """Send a job and return its result."""
        return self.result(self.send(team, agent_type, **job), seconds, team)
