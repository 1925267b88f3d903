"""Sandboxes on Fly: each a Machine, made by the Machines API and used once. Runs in the worker's Machine there.

Copied as it is into what `make export PLATFORM=fly` writes. Implements `fleet_runtime.sandboxd.backend.Backend`.
"""

import asyncio
import math
import secrets
from collections.abc import Collection, Mapping
from typing import Any, cast

import httpx
from fleet_runtime.sandboxd.backend import BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.workspace import Workspace

PORT = 7000
"""Of sandbox_bridge.py in each Machine, on the organisation's private network."""
TOKEN_VARIABLE = "FLEET_BRIDGE_TOKEN"  # noqa: S105 - the variable's name
_MEBIBYTE = 1024 * 1024
_GUEST_MEBIBYTES = 256
"""Fly sells memory in steps of so much; the kernel and the bridge take about half a step."""
_CPUS = (1, 2, 4, 8, 16)
_CALL_SECONDS = 20.0
_CONNECT_PAUSE_SECONDS = 0.2
_BUFFER_BYTES = 256 * 1024
_GONE = 404
_SHORT = (429, 503)
_LASTING = (400, 401, 403, 422)

Object = dict[str, Any]


class MachineAttachment(asyncio.Protocol):
    """A runner's streams over one connection, as asyncio sees them; implements `Sandbox`."""

    def __init__(self, name: str) -> None:
        """Make the reader; a connection follows."""
        self.name = name
        self.output = asyncio.StreamReader(limit=_BUFFER_BYTES)
        self.ended = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def send(self, data: bytes) -> None:
        """Write to the runner's standard input."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def diagnostics(self) -> str:
        """Return nothing: what the runner says on standard error is in the Machine's log."""
        return ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        # uvloop's transports are not of asyncio's class, but of its shape.
        self._transport = cast("asyncio.Transport", transport)
        self.output.set_transport(self._transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.output.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it by name
        """Tell whoever reads, or only waits, that nothing more comes."""
        self.output.feed_eof()
        self.ended.set()

    def eof_received(self) -> bool:
        """Close our side too."""
        return False


class FlyBackend:
    """Makes Machines in one app for one worker. All methods belong to one event loop."""

    shared = False

    def __init__(self, address: str, app: str, token: str, region: str, worker: str) -> None:
        """Nothing is asked yet. `worker` names this worker's own Machine, which keeps its name when it restarts."""
        self._machines = f"{address.rstrip('/')}/v1/apps/{app}/machines"
        self._region = region
        self._worker = worker
        # Fly's own tokens say how they are given; older ones do not.
        authorization = token if token.startswith("FlyV1 ") else f"Bearer {token}"
        self._http = httpx.AsyncClient(headers={"Authorization": authorization}, timeout=_CALL_SECONDS)
        self._ids: dict[str, str] = {}
        self._closing: asyncio.Task[None] | None = None

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """List the app's Machines: whether the API answers, and the token is good for it."""
        await self._listed()
        return {name: problem for name, each in templates.items() if (problem := unfit(each))}

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Create a Machine, wait for its bridge and connect."""
        del workspace
        token = secrets.token_hex(32)
        machine = await self._request(
            "POST",
            self._machines,
            json=machine_request(
                name, template, token, region=self._region, worker=self._worker, template_name=template_name
            ),
        )
        self._ids[name] = str(machine["id"])
        attachment = MachineAttachment(name)
        try:
            async with asyncio.timeout(template.start_timeout_seconds * 0.8):
                await self._connect(str(machine["private_ip"]), attachment)
        except TimeoutError as error:
            raise BackendError(f"template {template_name}: Machine {machine['id']} did not answer in time") from error
        attachment.send(token.encode())
        return attachment

    def shortage(self) -> str | None:
        """Return None: Machines are made, not waited for."""
        return None

    async def remove(self, name: str) -> None:
        """Destroy it, running or not."""
        identity = self._ids.get(name) or (await self._listed()).get(name)
        if identity is None:
            return
        await self._request("DELETE", f"{self._machines}/{identity}", params={"force": "true"}, missing_allowed=True)
        self._ids.pop(name, None)

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Return those of this worker that it does not know: others' are theirs."""
        return [name for name in await self._listed() if name not in known]

    async def ran_out_of_memory(self, name: str) -> bool:
        """Look for it in the Machine's last event."""
        identity = self._ids.get(name)
        if identity is None:
            return False
        machine = await self._request("GET", f"{self._machines}/{identity}", missing_allowed=True)
        events: list[Object] = machine.get("events") or []
        exits = [((event.get("request") or {}).get("exit_event") or {}) for event in events]
        return any(bool(each.get("oom_killed")) for each in exits)

    def close(self) -> None:
        """Give up the connections to the API."""
        self._closing = asyncio.get_running_loop().create_task(self._http.aclose())

    async def _connect(self, address: str, attachment: MachineAttachment) -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_connection(lambda: attachment, address, PORT)
                return
            except OSError:
                # It boots: nobody listens there yet.
                await asyncio.sleep(_CONNECT_PAUSE_SECONDS)

    async def _listed(self) -> dict[str, str]:
        machines = cast("list[Object]", await self._request("GET", self._machines))
        found: dict[str, str] = {}
        for machine in machines:
            metadata = (machine.get("config") or {}).get("metadata") or {}
            if machine.get("state") not in ("destroyed", "destroying") and metadata.get("fleet_worker") == self._worker:
                found[str(metadata.get("fleet_sandbox"))] = str(machine["id"])
        return found

    async def _request(self, method: str, url: str, *, missing_allowed: bool = False, **given: Any) -> Any:
        try:
            answer = await self._http.request(method, url, **given)
        except httpx.HTTPError as error:
            raise BackendError(f"Fly's Machines API does not answer: {error or type(error).__name__}") from error
        if answer.status_code == _GONE and missing_allowed:
            return {}
        if answer.is_error:
            short = answer.status_code in _SHORT
            raise BackendError(
                f"Fly's Machines API answered {answer.status_code}: {answer.text[:300]}",
                lasting=answer.status_code in _LASTING,
                shortage=short,
            )
        return answer.json() if answer.content else {}


def unfit(template: SandboxTemplate) -> str:
    """Why Fly has no Machine for a template; empty where it has one."""
    return "" if template.cpus <= _CPUS[-1] else f"{template.cpus:g} CPUs were asked for; Fly has at most {_CPUS[-1]}"


def machine_request(
    name: str, template: SandboxTemplate, token: str, *, region: str, worker: str, template_name: str
) -> Object:
    """The body of the request that makes a sandbox's Machine."""
    steps = math.ceil(template.memory_bytes / _MEBIBYTE / _GUEST_MEBIBYTES) + 1
    return {
        "name": name,
        "region": region,
        # Neither kept nor started again: a sandbox is used once.
        "config": {
            "image": template.image,
            "auto_destroy": True,
            "restart": {"policy": "no"},
            "guest": {
                "cpu_kind": "shared",
                "cpus": next((each for each in _CPUS if each >= template.cpus), _CPUS[-1]),
                "memory_mb": steps * _GUEST_MEBIBYTES,
            },
            "env": {
                TOKEN_VARIABLE: token,
                "FLEET_BRIDGE_SCRATCH_BYTES": str(template.scratch_bytes),
                "FLEET_BRIDGE_PROCESSES": str(template.pids),
            },
            "metadata": {"fleet_worker": worker, "fleet_sandbox": name, "fleet_template": template_name},
        },
    }
