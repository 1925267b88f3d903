"""The backends of exported fleets behind the real sandboxd, in real containers of the sandbox image."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import docker
from exported_sandboxes import TOKEN, Machines, ModalInDocker
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.backend import Backend
from fleet_runtime.sandboxd.client import RunRequest, RunResult, SandboxdClient, SandboxLost
from fleet_runtime.sandboxd.config import SandboxdSettings, SandboxTemplate
from fleet_runtime.sandboxd.server import Sandboxd

from engine.export.fly.fly_sandboxes import PORT, FlyBackend, machine_request

MEBIBYTE = 1024 * 1024
PIDS = 16_384
"""A limit of the user and not of the container, which counts what other sandboxes of this host have too."""
LOOK = """
import json, os, socket
def refused(path):
    try:
        open(path, "w").close()
    except OSError:
        return True
try:
    socket.create_connection(("1.1.1.1", 53), 2).close()
    out = True
except OSError:
    out = False
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "uid": os.getuid(), "groups": os.getgroups(), "out": out, "root": refused("/made"), "here": not refused("made"),
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new_privileges": status["NoNewPrivs"], "interfaces": sorted(os.listdir("/sys/class/net")),
    "environment": sorted(os.environ), "fly": os.path.exists("/.fly"),
}))
"""


class Served:
    """One sandboxd with such a backend."""

    def __init__(self, backend: Backend, image: str, folder: Path) -> None:
        """Nothing runs yet."""
        template = SandboxTemplate(
            image=image, memory_bytes=256 * MEBIBYTE, scratch_bytes=32 * MEBIBYTE, pids=PIDS, warm=1, maximum=3
        )
        socket = folder / "sandboxd.sock"
        settings = SandboxdSettings(name="probe", sandboxd_socket=socket, sandbox_templates={"default": template})
        self.sandboxd = Sandboxd(settings, backend)
        self.client = SandboxdClient(socket)

    async def job(self, language: str, code: str, seconds: float = 20.0) -> RunResult:
        """Run one job to its end."""
        request = RunRequest(
            template="default",
            job_id="job",
            attempt=1,
            timeout_seconds=seconds,
            payload=encode(language, code, None, {}),
        )
        return await self.client.run(request, kill=asyncio.Event())


@contextlib.asynccontextmanager
async def served(backend: Backend, image: str) -> AsyncGenerator[Served]:
    """A sandboxd for as long as the context lasts; no sandbox is left after it."""
    with tempfile.TemporaryDirectory() as folder:
        one = Served(backend, image, Path(folder))
        running = asyncio.create_task(one.sandboxd.run())
        try:
            await warm(one)
            yield one
        finally:
            one.sandboxd.stop()
            await running


async def warm(one: Served) -> None:
    """Wait until a sandbox waits."""
    for _ in range(600):
        with contextlib.suppress(SandboxLost):
            count = await one.client.count()
            if count.healthy and count.templates["default"].warm > 0:
                return
        await asyncio.sleep(0.1)
    raise AssertionError("no sandbox was made within a minute")


async def check_jobs(one: Served) -> dict[str, object]:
    """What holds on both platforms; returns what a job sees."""
    result = await one.job("python", LOOK)
    assert (result.reason, result.exit_code) == ("exited", 0), result.stderr
    seen: dict[str, object] = json.loads(result.stdout)
    assert seen["uid"] == 10001
    assert seen["groups"] == []
    assert seen["out"] is False
    assert seen["here"] is True
    assert seen["capabilities"] == [0, 0, 0]
    assert seen["no_new_privileges"] == "1"
    assert seen["interfaces"] in (["lo"], [])
    assert "FLEET_BRIDGE_TOKEN" not in str(seen["environment"])
    failed = await one.job("bash", "echo out; echo err >&2; exit 3")
    assert (failed.reason, failed.exit_code, failed.stdout, failed.stderr) == ("exited", 3, b"out\n", b"err\n")
    late = await one.job("node", "setInterval(() => {}, 1000)", seconds=1)
    assert late.reason == "timed_out"
    return seen


async def test_jobs_run_in_machines_of_flys(docker_client: docker.DockerClient, sandbox_image: str) -> None:
    """Prevents an exported worker whose sandboxes never say that they are ready, or that let jobs out."""
    machines = Machines(docker_client, sandbox_image)
    try:
        backend = FlyBackend(machines.address, "probe-sandboxes", TOKEN, "ams", "worker-1")
        async with served(backend, sandbox_image) as one:
            seen = await check_jobs(one)
            assert seen["root"] is True
            assert seen["fly"] is False
        assert machines.list() == []
    finally:
        await asyncio.to_thread(machines.close)


async def test_jobs_run_the_way_that_modal_starts_them(docker_client: docker.DockerClient, sandbox_image: str) -> None:
    """Prevents the same on Modal, where the runner is not the first process of its sandbox."""
    backend = ModalInDocker(docker_client, sandbox_image)
    async with served(backend, sandbox_image) as one:
        await check_jobs(one)
    assert await backend.left_over([]) == []


async def test_a_machine_lets_nobody_in_without_its_token(
    docker_client: docker.DockerClient, sandbox_image: str
) -> None:
    """Prevents a neighbour on the private network who runs code in, or reads, somebody else's sandbox."""
    machines = Machines(docker_client, sandbox_image)
    template = SandboxTemplate(image=sandbox_image, memory_bytes=256 * MEBIBYTE, scratch_bytes=MEBIBYTE, pids=PIDS)
    body = machine_request("one", template, "a" * 64, region="ams", worker="w", template_name="default")
    try:
        address = (await asyncio.to_thread(machines.create, body))["private_ip"]
        assert await said(address, b"b" * 64) == b""
        assert await said(address, b"a" * 64) == b"R\0\0\0\0"
    finally:
        await asyncio.to_thread(machines.close)


async def said(address: str, token: bytes) -> bytes:
    """What a Machine's first words are to who comes with this token; nothing where it hangs up."""
    for _ in range(200):
        try:
            reader, writer = await asyncio.open_connection(address, PORT)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.write(token)
        first = await asyncio.wait_for(reader.read(5), 20)
        writer.close()
        return first
    raise AssertionError("nobody listens in the Machine")
