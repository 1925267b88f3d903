"""Either end of the link between sandboxd and the proxy, with a socket in the other's place."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from egress_gate import Proxy, Sandbox, refused
from fleet_runtime.egress.link import Link
from fleet_runtime.egress.sandboxd_link import SandboxdLink
from fleet_runtime.sandboxd.egress_folders import SOCKET_NAME, EgressFolders
from fleet_runtime.sandboxd.egress_link import EgressLink
from fleet_runtime.tasks import end


async def test_sandboxd_listens_on_after_a_connection_that_it_could_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a free descriptor for a moment it never listened again, and every job that needs the proxy waited."""
    loop = asyncio.get_running_loop()
    accept, failed = loop.sock_accept, list[bool]()

    async def without_descriptors_once(listening: socket.socket) -> Any:
        if not failed:
            failed.append(True)
            raise OSError(24, os.strerror(24))
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", without_descriptors_once)
    sandboxd = EgressLink(tmp_path / "egress.sock", os.geteuid(), None)
    sandboxd.start()
    try:
        with _proxy(tmp_path) as proxy:
            async with asyncio.timeout(10):
                assert await proxy.receive() == ({"op": "welcome"}, None)
            assert failed
            assert sandboxd.problem is None
    finally:
        await sandboxd.stop()


async def test_the_next_proxy_hears_of_a_sandbox_and_its_job_at_once(tmp_path: Path) -> None:
    """Between two messages it would turn away what the job had sent meanwhile, as if no job ran there."""
    sandboxd = EgressLink(tmp_path / "egress.sock", os.geteuid(), None)
    sandboxd.start()
    sandboxd.add("box", "default", EgressFolders(tmp_path / "boxes").make("box"))
    opened = {"op": "open", "sandbox": "box", "template": "default"}
    try:
        async with asyncio.timeout(10):
            with _proxy(tmp_path) as first:
                assert await first.receive() == ({"op": "welcome"}, None)
                assert await _told(first) == opened
                bound = asyncio.create_task(sandboxd.bind("box", "a-job", "a-tenant"))
                assert await _told(first) == {"op": "bind", "sandbox": "box", "job_id": "a-job", "tenant": "a-tenant"}
            with _proxy(tmp_path) as second:
                assert await second.receive() == ({"op": "welcome"}, None)
                assert await _told(second) == {**opened, "job_id": "a-job", "tenant": "a-tenant"}
                assert not bound.done()
                await second.send({"op": "bound", "sandbox": "box"})
                await bound
    finally:
        await sandboxd.stop()


async def test_what_a_job_sent_while_no_proxy_was_there_is_judged_as_its_jobs(running: Proxy, tmp_path: Path) -> None:
    """The proxy answers that the job is bound, and serves what has been connecting."""
    listening = running.folders.make("box")
    sandbox = Sandbox("box", running.folder / "box" / SOCKET_NAME, running.gates)
    asked = asyncio.create_task(refused(sandbox, "elsewhere.example:443"))
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waiting.bind(str(tmp_path / "link.sock"))
    waiting.listen(1)
    waiting.setblocking(False)
    ours = SandboxdLink(tmp_path / "link.sock", os.geteuid(), running.gates, running.budgets, running.metrics)
    serving = asyncio.create_task(ours.run())
    try:
        async with asyncio.timeout(10):
            connection, _ = await asyncio.get_running_loop().sock_accept(waiting)
            sandboxd = Link(connection)
            job = {"job_id": "a-job", "tenant": "a-tenant"}
            message = {"op": "open", "sandbox": "box", "template": "default", **job}
            await sandboxd.send(message, listening.fileno())
            assert await _told(sandboxd) == {"op": "bound", "sandbox": "box"}
            assert "not among the domains" in await asked
    finally:
        await end((serving,))
        waiting.close()
        listening.close()


@contextlib.contextmanager
def _proxy(folder: Path) -> Generator[Link]:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(str(folder / "egress.sock"))
    link = Link(connection)
    try:
        yield link
    finally:
        link.close()


async def _told(link: Link) -> dict[str, Any]:
    """The next message; a descriptor that came with it is closed."""
    message, descriptor = await link.receive()
    if descriptor is not None:
        os.close(descriptor)
    return message
