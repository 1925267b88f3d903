"""One job floods the proxy with what costs it much and the job little; other jobs get their turn."""

import asyncio
import re
import socket
import threading
from typing import Any

import pytest
from egress_gate import PUBLIC, Proxy
from egress_world import FILES, Upstream
from fleet_runtime.egress.dialer import Dialer

_PIECES = 4000
_SENT = re.compile(rb'egress_bytes_total\{direction="sent",template="default"\} ([0-9.]+)')


def _sent(running: Proxy) -> float:
    found = _SENT.search(running.metrics.text())
    return float(found[1]) if found else 0.0


async def test_a_body_of_very_many_pieces_leaves_others_their_turn(running: Proxy, upstream: Upstream) -> None:
    """A job that sent its body byte by byte stopped the proxy, for everybody, for seconds at a time."""
    flooding = await running.sandbox("flooding")
    head = f"POST http://{FILES}/ HTTP/1.1\r\nHost: {FILES}\r\nTransfer-Encoding: chunked\r\n\r\n"
    saying = asyncio.create_task(flooding.say(head.encode() + b"1\r\na\r\n" * _PIECES + b"0\r\n\r\n"))
    most, before = 0.0, 0.0
    while not saying.done():
        await asyncio.sleep(0)
        now = _sent(running)
        most, before = max(most, now - before), now
    assert (await saying).startswith(b"HTTP/1.1 200")
    assert upstream.asked[0]["body"] == "a" * _PIECES
    assert 0 < most < _PIECES / 4


async def test_names_whose_servers_do_not_answer_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One job took every thread there was for resolving, and nobody got anywhere for as long as it went on."""
    given_up = threading.Event()

    def resolver(host: str, *_: Any, **__: Any) -> list[Any]:
        if host.startswith("silent"):
            given_up.wait(10)
            raise OSError(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, 0))]

    async def connect(*_: Any) -> Any:
        return "connected"

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    dialer = Dialer(connect=connect)
    silent = [asyncio.create_task(dialer.open(f"silent{n}.wild.example", 443, tls=False)) for n in range(16)]
    try:
        await asyncio.sleep(0)
        assert await dialer.open(FILES, 443, tls=False) == "connected"
        assert not any(each.done() for each in silent)
    finally:
        given_up.set()
        await asyncio.gather(*silent, return_exceptions=True)
