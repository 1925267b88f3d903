"""A fleet of the default settings, deployed for the measurement by the project's own commands."""

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.models.containers import Container

CHECKOUT = Path(__file__).resolve().parent.parent
STACK = "bench"


@dataclass
class Fleet:
    """A fleet that can be put up and taken down."""

    settings_file: Path
    port: int
    raised: bool = False
    """Whether there may be something to take down."""

    @property
    def label(self) -> str:
        """What its containers carry."""
        return f"agent-fleet.fleet=agent-fleet-{STACK}"

    def make(self, goal: str) -> float:
        """Run `make GOAL` and return its seconds; its output is shown only when it fails."""
        config = [f"CONFIG={self.settings_file}"] if goal == "up" else []
        began = time.monotonic()
        self.raised = self.raised or goal == "up"
        ended = subprocess.run(
            ["make", "--no-print-directory", goal, f"STACK={STACK}", *config],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        if ended.returncode:
            raise SystemExit(f"make {goal} failed:\n{ended.stdout}{ended.stderr}")
        self.raised = self.raised and goal != "down"
        return time.monotonic() - began

    def containers(self) -> list[Container]:
        """Every container of the fleet, its sandboxes included."""
        return docker.from_env().containers.list(filters={"label": self.label})

    def sandbox_image(self) -> str:
        """The ID of the image that jobs run in."""
        sandboxes = [each for each in self.containers() if each.labels["agent-fleet.role"] == "sandbox"]
        return str(sandboxes[0].attrs["Image"])

    @property
    def key(self) -> str:
        """The API key that the deployment made."""
        return str(json.loads((CHECKOUT / ".fleet" / f"{STACK}.json").read_text())["api_key"])

    def client(self) -> "Client":
        """A connection to the API with the key."""
        return Client(self.port, self.key)


class Client:
    """One kept-alive connection, with as little of its own time in a figure as Python allows."""

    def __init__(self, port: int, key: str) -> None:
        """Connect on the first request."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Prefer": "wait=30"}

    def run(self, code: str) -> dict[str, Any]:
        """Run a Python job to its end and return its result."""
        body = json.dumps({"language": "python", "code": code})
        self._connection.request("POST", "/execute", body, self._headers)
        answer = self._connection.getresponse()
        result = json.loads(answer.read())
        if answer.status != 200 or result["status"] != "succeeded":
            raise SystemExit(f"a job gave {answer.status} {result}")
        return result


@contextmanager
def fleet(folder: Path) -> Generator[Fleet]:
    """A fleet that is not up yet; it is taken down at the end, whatever happens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    settings = folder / f"Pulumi.{STACK}.yaml"
    given = {"architecture": "vm", "target": "docker", "api": {"port": port}}
    settings.write_text(yaml.safe_dump({"config": {"agent-fleet:fleet": given}}))
    found = Fleet(settings, port)
    try:
        yield found
    finally:
        if found.raised:
            found.make("down")


def quiet_load() -> float:
    """The load average over the last minute, by processor: above 1, figures are about the machine's other work."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)
