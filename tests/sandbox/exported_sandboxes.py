"""The sandboxes of exported fleets in real containers: a container in the place of Fly's Machine and Modal's sandbox.

What is the platforms' own is emulated: the Machines API by a small server, Modal's exec by `docker exec`.
"""

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import docker
from docker.errors import NotFound
from fleet_runtime.sandboxd.backend import Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.workspace import Workspace
from sandbox_daemon import PROJECT

from engine.export.modal.modal_sandboxes import RUNNER, ModalAttachment

BRIDGE = PROJECT / "engine" / "export" / "fly" / "sandbox_bridge.py"
LABEL = "agent-fleet.export-test"
TOKEN = "FlyV1 probe"


class Machines:
    """Fly's Machines API as far as FlyBackend asks it; each Machine is a container that only the bridge is told of."""

    def __init__(self, client: docker.DockerClient, image: str) -> None:
        """Listen on a free port of the loopback interface."""
        self.run = uuid.uuid4().hex
        self.asked: list[str] = []
        machines = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                machines.answer(self, machines.create(body))

            def do_GET(self) -> None:
                machines.answer(self, machines.list())

            def do_DELETE(self) -> None:
                machines.answer(self, machines.destroy(self.path.partition("?")[0].rpartition("/")[2]))

            def log_message(self, format: str, *args: object) -> None:
                machines.asked.append(format % args)

        self._client, self._image = client, image
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler, found: Any) -> None:
        """Answer, or refuse who has not the token."""
        allowed = handler.headers["Authorization"] == TOKEN
        text = json.dumps(found if allowed else {"error": "unauthorized"}).encode()
        handler.send_response(200 if allowed else 401)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a container as root of a virtual machine is: it may make namespaces and mounts."""
        config = body["config"]
        container: Any = self._client.containers.run(
            self._image,
            ["-I", "/opt/bridge/sandbox_bridge.py"],
            entrypoint="/usr/bin/python3",
            user="0:0",
            working_dir="/",
            # What the bridge needs of all that root of a virtual machine has.
            cap_add=["SYS_ADMIN"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            detach=True,
            environment=config["env"],
            mem_limit=f"{config['guest']['memory_mb']}m",
            labels={LABEL: self.run, "machine": json.dumps(config["metadata"])},
            volumes={str(BRIDGE): {"bind": "/opt/bridge/sandbox_bridge.py", "mode": "ro"}},
        )
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        return {"id": container.id, "state": "created", "private_ip": address}

    def list(self) -> list[dict[str, Any]]:
        """Every Machine with its metadata."""
        found: list[Any] = self._client.containers.list(all=True, filters={"label": f"{LABEL}={self.run}"})
        return [
            {"id": each.id, "state": "started", "config": {"metadata": json.loads(each.labels["machine"])}}
            for each in found
        ]

    def destroy(self, identity: str) -> dict[str, Any]:
        """Remove a Machine, running or not."""
        try:
            container: Any = self._client.containers.get(identity)
            container.remove(force=True)
        except NotFound:
            pass
        return {"ok": True}

    def close(self) -> None:
        """Remove what is left, and listen no more."""
        for machine in self.list():
            self.destroy(machine["id"])
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Exec:
    """`docker exec` in the place of Modal's; implements `Process`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr

    def write(self, data: bytes) -> None:
        self._stdin.write(data)

    async def drain(self) -> None:
        await self._stdin.drain()

    async def output(self) -> AsyncIterator[bytes]:
        while part := await self._stdout.read(65536):
            yield part

    async def errors(self) -> AsyncIterator[bytes]:
        while part := await self._stderr.read(4096):
            yield part


class ModalInDocker:
    """ModalBackend's way into a sandbox, in containers; implements `Backend`."""

    shared = False

    def __init__(self, client: docker.DockerClient, image: str) -> None:
        """Make nothing yet."""
        self._client, self._image = client, image
        self._made: dict[str, Any] = {}

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """All is well."""
        del templates
        return {}

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """As Modal does it: a container that sleeps as root without a network, and then the command in it."""
        del template_name, workspace
        self._made[name] = await asyncio.to_thread(
            self._client.containers.run,
            self._image,
            ["infinity"],
            entrypoint="sleep",
            user="0:0",
            network_mode="none",
            detach=True,
            mem_limit=template.memory_bytes,
        )
        command = ["docker", "exec", "-i", "-w", "/job", self._made[name].id, *RUNNER]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        return ModalAttachment(name, _Exec(process))

    def shortage(self) -> str | None:
        """Containers are made, not waited for."""
        return None

    async def remove(self, name: str) -> None:
        """Remove the container."""
        if (container := self._made.pop(name, None)) is not None:
            await asyncio.to_thread(container.remove, force=True)

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Return what is not known."""
        return [name for name in self._made if name not in known]

    async def ran_out_of_memory(self, name: str) -> bool:
        """Nobody asks."""
        del name
        return False

    def close(self) -> None:
        """Nothing is open."""
