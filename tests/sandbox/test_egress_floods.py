"""One job floods the proxy with what costs it much and the job little; other jobs get their turn."""

import asyncio
import re

from egress_gate import Proxy
from egress_world import FILES, Upstream

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
