"""A sandboxd and a proxy of the tests' own, two real processes, with the tests' names for an internet."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from egress_world import API, CREDENTIAL, FILES, Authority
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, RunResult
from sandbox_daemon import TEMPLATE, Daemon, eventually

PUBLIC = "93.184.216.34"
INSIDE = "inside.allowed.example"
REBINDING = "rebinding.allowed.example"
DOMAINS = (API, FILES, INSIDE, REBINDING)
ASK = """
import json, sys, urllib.error, urllib.request
def ask(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except Exception as error:
        return 0, repr(error)
"""
"""For the jobs: status and body of a request."""
_PROGRAM = Path(__file__).parent / "egress_process.py"


@dataclass
class EgressFleet:
    """Both of them. sandboxd's templates have egress; who starts what, and when, is the test's to say."""

    daemon: Daemon
    authority: Authority
    port: int
    """The server behind all names."""
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Where everything of it is."""
        return self.daemon.folder

    @property
    def sandbox_folders(self) -> Path:
        """Where sandboxes have their sockets."""
        return self.folder / "egress"

    @classmethod
    def made(cls, way: Any, folder: Path, authority: Authority, port: int) -> "EgressFleet":
        """A fleet of two processes that do not run yet, for a way of making sandboxes (conftest.py)."""
        template = {**TEMPLATE, "image": way.image, "runtime": way.runtime, "egress": True}
        fleet = cls(Daemon(folder, {"default": template}, made=way.made), authority, port)
        fleet.daemon.environment = fleet.sandboxd_environment()
        return fleet

    def sandboxd_environment(self) -> dict[str, str]:
        """What sandboxd is told besides."""
        return {
            "FLEET_EGRESS_SOCKET": str(self.folder / "egress.sock"),
            "FLEET_EGRESS_FOLDER": str(self.sandbox_folders),
        }

    def start_proxy(self) -> None:
        """Start the proxy; it finds sandboxd by itself."""
        names = {API: [PUBLIC], FILES: [PUBLIC], INSIDE: ["169.254.169.254"], REBINDING: [[PUBLIC], ["127.0.0.1"]]}
        ports = dict.fromkeys((PUBLIC, "127.0.0.1", "169.254.169.254"), self.port)
        world = {"names": names, "ports": ports, "authority": str(self.authority.bundle)}
        path = self.folder / "world.json"
        path.write_text(json.dumps(world))
        credentials = {"default": {API: {"header": "Authorization", "value": CREDENTIAL}}}
        environment = {
            **os.environ,
            "FLEET_EGRESS_SOCKET": str(self.folder / "egress.sock"),
            "FLEET_EGRESS_SANDBOXD_UID": str(os.geteuid()),
            "FLEET_EGRESS_LISTEN": "127.0.0.1:0",
            "FLEET_EGRESS_POLICIES": json.dumps({"default": {"domains": DOMAINS}}),
            "FLEET_EGRESS_CREDENTIALS": json.dumps(credentials),
            **self.limits,
        }
        with (self.folder / "proxy.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(path)], env=environment, stdout=log, stderr=log
            )

    def end_proxy(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal it and wait for its end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def stop(self) -> None:
        """End both."""
        self.daemon.stop()
        self.end_proxy(signal.SIGKILL)

    def log(self) -> str:
        """What the proxy has logged."""
        path = self.folder / "proxy.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def noted(self, event: str = "egress_request") -> list[dict[str, Any]]:
        """The proxy's log of one event."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    async def healthy(self, wanted: bool = True) -> None:
        """Wait until sandboxd says that it is, or that it is not because of the proxy."""

        async def said() -> bool:
            count = await self.daemon.count()
            if count is None or wanted:
                return count is not None and count.healthy
            return not count.healthy and "egress" in (count.reason or "")

        await eventually(said, 20, f"healthy={wanted}: {self.daemon.log()[-1500:]} {self.log()[-1500:]}")

    async def run(self, language: str, code: str, *, tenant: str = "tenant", seconds: float = 30) -> RunResult:
        """Run one job of a tenant."""
        payload = encode(language, code, None, {"authority.pem": self.authority.bundle.read_bytes()})
        request = RunRequest(secrets.token_hex(8), 1, "default", seconds, payload, tenant)
        return await self.daemon.client.run(request, kill=asyncio.Event())


def lines(result: RunResult) -> list[Any]:
    """What a program printed, a JSON document a line."""
    assert result.exit_code == 0, result
    return [json.loads(line) for line in result.stdout.decode().splitlines()]
