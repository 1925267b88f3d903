"""sandboxd dies, stops, loses its Docker or its image, or runs full; afterwards all is as it should be."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import docker
import pytest
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, SandboxLost, SandboxRefused
from fleet_runtime.sandboxd.oci_images import Images
from made_sandboxes import DockerMade, OciMade, parent
from sandbox_daemon import Daemon, eventually
from sandbox_image import BASE


async def test_sandboxes_of_a_killed_sandboxd_are_removed_by_the_next(own_daemon: Daemon) -> None:
    """Orphans hold memory for ever, and may still run a job that is being retried elsewhere."""
    own_daemon.start()
    await own_daemon.warm()
    started = asyncio.Event()
    job = asyncio.create_task(own_daemon.run("bash", "sleep 60", started=started))
    await asyncio.wait_for(started.wait(), 10)
    before = own_daemon.sandboxes()
    own_daemon.send_signal(signal.SIGKILL)
    with pytest.raises(SandboxLost) as lost:
        await job
    assert lost.value.started
    own_daemon.start()
    await own_daemon.warm()

    async def all_new() -> bool:
        return not before & own_daemon.sandboxes()

    await eventually(all_new, 15, "the left-over sandboxes to be removed")
    assert (await own_daemon.run("python", "print(1)")).warm


async def test_sigterm_refuses_new_jobs_and_leaves_no_sandbox(own_daemon: Daemon) -> None:
    """Stopping a fleet must leave the host as it was."""
    own_daemon.start()
    await own_daemon.warm()
    started = asyncio.Event()
    job = asyncio.create_task(own_daemon.run("bash", "sleep 60", started=started))
    await asyncio.wait_for(started.wait(), 10)
    code = await asyncio.to_thread(own_daemon.send_signal, signal.SIGTERM)
    assert code == 0
    assert (await job).reason == "sandbox_terminated"
    assert own_daemon.sandboxes() == set()
    assert not own_daemon.socket.exists()


async def test_a_warm_sandbox_that_dies_is_replaced_and_never_handed_out(own_daemon: Daemon) -> None:
    """A job given to a corpse would be lost."""
    own_daemon.start()
    await own_daemon.warm()
    first = own_daemon.sandboxes()
    for name in first:
        own_daemon.kill_first_process(name)
    result = await own_daemon.run("python", "print('alive')")
    assert (result.reason, result.stdout) == ("exited", b"alive\n")
    await own_daemon.warm()

    async def gone() -> bool:
        return not own_daemon.sandboxes() & first

    await eventually(gone, 20, "the dead ones to be removed")


@pytest.mark.parametrize("when", ["once it waits", "as soon as it is there"])
async def test_a_warm_sandbox_whose_waiting_child_dies_is_replaced(own_daemon: Daemon, when: str) -> None:
    """The host may run out of memory and take the child alone; its runner would then wait for a job it cannot start.

    A child that died before its runner had asked to be told of that was never missed.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can kill one process of a container from outside")
    own_daemon.start()
    if when == "once it waits":
        await own_daemon.warm()
    first = await asyncio.to_thread(kill_children, own_daemon, 2)

    async def all_new() -> bool:
        names = own_daemon.sandboxes()
        return len(names) >= len(first) and not names & first

    await eventually(all_new, 20, "the sandboxes to be replaced")
    await own_daemon.warm()
    assert (await own_daemon.run("python", "print('alive')")).stdout == b"alive\n"


def kill_children(daemon: Daemon, count: int) -> set[str]:
    """Kill the waiting child of so many sandboxes, each as soon as it has one; return their names."""
    assert daemon.made is not None
    killed: set[str] = set()
    deadline = time.monotonic() + 20
    while len(killed) < count:
        assert time.monotonic() < deadline, f"waited for {count} children: {daemon.log()}"
        for name in daemon.sandboxes() - killed:
            first, *others = daemon.made.processes(daemon.fleet, name) or [0]
            child = next((each for each in others if parent(each) == first and runs_python(each)), None)
            if child is not None:
                os.kill(child, signal.SIGKILL)
                killed.add(name)
        threading.Event().wait(0.001)
    return killed


def runs_python(process: int) -> bool:
    """Whether it has become the sandbox's own program; before, it is the runtime's."""
    try:
        return Path(f"/proc/{process}/comm").read_text().startswith("python")
    except OSError:
        return False


async def test_a_job_whose_sandbox_is_killed_is_reported_as_terminated(own_daemon: Daemon) -> None:
    """The worker must tell this from the job's own failure."""
    own_daemon.start()
    await own_daemon.warm()
    idle = own_daemon.sandboxes()
    heard = asyncio.Event()

    def hear(name: str, body: bytes) -> None:
        del name, body
        heard.set()

    code = "echo started; sleep 60"
    request = RunRequest("killed", 1, "default", 60, encode("bash", code, None, {}))
    listening = own_daemon.client.run(request, kill=asyncio.Event(), on_output=hear)
    job = asyncio.create_task(listening)
    await asyncio.wait_for(heard.wait(), 10)
    for name in idle:
        own_daemon.kill_first_process(name)
    result = await job
    assert (result.reason, result.exit_code, result.stdout) == ("sandbox_terminated", None, b"started\n")


async def test_beyond_the_maximum_jobs_wait_and_then_are_refused(own_daemon: Daemon) -> None:
    """A full host queues a while, and says so when it cannot."""
    own_daemon.templates = {
        "default": {**own_daemon.templates["default"], "warm": 1, "maximum": 1, "start_timeout_seconds": 10}
    }
    own_daemon.start()
    await own_daemon.warm()
    short = asyncio.create_task(own_daemon.run("bash", "sleep 1"))
    await eventually(lambda: has_running(own_daemon), 20, "the first job to run")
    waited = await own_daemon.run("bash", "echo second")
    assert (waited.warm, waited.stdout) == (False, b"second\n")
    assert (await short).exit_code == 0
    kill = asyncio.Event()
    long = asyncio.create_task(own_daemon.run("bash", "sleep 60", kill=kill, timeout_seconds=60))
    await eventually(lambda: has_running(own_daemon), 20, "the long job to run")
    with pytest.raises(SandboxRefused) as refusal:
        await own_daemon.run("bash", "true")
    assert refusal.value.code == "no_capacity"
    cancelled = asyncio.Event()
    waiting = asyncio.create_task(own_daemon.run("bash", "true", kill=cancelled))
    await asyncio.sleep(0)
    cancelled.set()
    assert (await waiting).reason == "killed"
    kill.set()
    assert (await long).reason == "killed"


UNUSABLE: Mapping[str, tuple[dict[str, object], dict[str, str]]] = {
    "no-image": ({"image": "sha256:" + "0" * 64}, {"docker": "is not on this host", "oci": "is not unpacked in"}),
    "no-runtime": (
        {"runtime": "no-such-runtime"},
        {"docker": "is not registered with Docker", "oci": "FLEET_OCI_RUNTIMES"},
    ),
    "too-large": ({"cpus": 1000.0}, {"docker": "this host has", "oci": "this host has"}),
}
"""By template: what is wrong with it, and what an operator must read."""


async def test_an_unusable_template_is_reported_and_its_jobs_refused(own_daemon: Daemon) -> None:
    """An operator must read what to change, not find jobs waiting."""
    backend = "docker" if isinstance(own_daemon.made, DockerMade) else "oci"
    good = own_daemon.templates["default"]
    bad = {name: {**good, **change} for name, (change, _) in UNUSABLE.items()}
    own_daemon.templates = {"default": good, **bad}
    own_daemon.start()

    async def reported() -> bool:
        count = await own_daemon.count()
        reason = (count.reason or "") if count is not None else ""
        return all(f"template {name}: " in reason and said[backend] in reason for name, (_, said) in UNUSABLE.items())

    await eventually(reported, 15, f"the reasons to be reported: {own_daemon.log()}")
    for name, (_, said) in UNUSABLE.items():
        with pytest.raises(SandboxRefused) as refusal:
            await own_daemon.run("bash", "true", template=name)
        assert refusal.value.code == "start_failed"
        assert said[backend] in refusal.value.message
    # A template that nothing is wrong with goes on.
    assert (await own_daemon.run("bash", "echo ok")).stdout == b"ok\n"


async def test_an_image_without_a_runner_is_refused_with_its_reason(
    own_daemon: Daemon, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    """Any image can be named in a template; one that is no sandbox must not look like a full host."""
    template = own_daemon.templates["default"]
    image = str(docker_client.images.get(BASE).id)
    if isinstance(own_daemon.made, OciMade):
        saved = tmp_path / "image.tar"
        saved.write_bytes(b"".join(docker_client.images.get(image).save()))
        Images(own_daemon.made.state / "images").unpack(saved, keep=5)
    own_daemon.templates = {"default": {**template, "image": image, "warm": 0, "start_timeout_seconds": 3}}
    own_daemon.start()
    with pytest.raises(SandboxRefused) as refusal:
        await own_daemon.run("bash", "true")
    assert refusal.value.code == "start_failed"


@pytest.mark.parametrize("own_daemon", ["docker"], indirect=True)
async def test_a_docker_daemon_that_is_away_is_reported_and_recovered_from(own_daemon: Daemon) -> None:
    """A restart of Docker must not need one of the fleet; here a relay to it goes away and comes back."""
    relay = own_daemon.folder / "docker.sock"
    own_daemon.environment = {"FLEET_DOCKER_HOST": f"unix://{relay}"}
    own_daemon.start()

    async def away() -> bool:
        count = await own_daemon.count()
        return count is not None and not count.healthy and "does not answer" in (count.reason or "")

    await eventually(away, 15, "the daemon to be reported as away")
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda r, w: relay_connection(r, w, connections), relay)
    await own_daemon.warm()
    assert (await own_daemon.run("bash", "echo 1")).stdout == b"1\n"
    server.close()
    relay.unlink()
    for writer in connections:
        writer.transport.abort()
    await eventually(away, 30, "the daemon to be reported as away again")
    server = await asyncio.start_unix_server(lambda r, w: relay_connection(r, w, connections), relay)
    await own_daemon.warm(seconds=40)
    assert (await own_daemon.run("bash", "echo 2")).stdout == b"2\n"
    # sandboxd removes its sandboxes through the relay, so it has to go first.
    await asyncio.to_thread(own_daemon.stop)
    server.close()


async def relay_connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connections: list[asyncio.StreamWriter]
) -> None:
    """Pass bytes between sandboxd and the real Docker."""
    docker_reader, docker_writer = await asyncio.open_unix_connection("/var/run/docker.sock")
    connections += [writer, docker_writer]

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
            target.write_eof()
        except OSError:
            target.transport.abort()

    await asyncio.gather(pump(reader, docker_writer), pump(docker_reader, writer))


async def has_running(daemon: Daemon) -> bool:
    """Whether a sandbox holds a job now."""
    count = await daemon.count()
    return count is not None and count.templates["default"].running > 0
