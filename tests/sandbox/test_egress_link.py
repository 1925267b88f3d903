"""sandboxd's end of the link to the proxy, with a socket in the proxy's place."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from fleet_runtime.egress.link import Link
from fleet_runtime.sandboxd.egress_link import EgressLink


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
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(str(tmp_path / "egress.sock"))
    proxy = Link(connection)
    try:
        async with asyncio.timeout(10):
            assert await proxy.receive() == ({"op": "welcome"}, None)
        assert failed
        assert sandboxd.problem is None
    finally:
        proxy.close()
        await sandboxd.stop()
