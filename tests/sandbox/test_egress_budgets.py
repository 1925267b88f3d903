"""One socket is one sandbox's, and so much may pass."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from egress_gate import DOMAINS, Internet, Proxy, detail, proxy, refused, rest, tunnel
from egress_world import FILES, OTHER, Upstream
from fleet_runtime.egress.access import Job
from sandbox_daemon import eventually
from test_egress_client_hello import client_hello


async def test_before_there_is_a_job_nothing_goes_out(running: Proxy, internet: Internet) -> None:
    """Whatever runs in a waiting sandbox is nobody's."""
    waiting = await running.sandbox("waiting", tenant=None)
    assert "no job" in await refused(waiting, f"{FILES}:443")
    assert internet.connected == []


async def test_a_sandbox_is_one_jobs_for_good(running: Proxy) -> None:
    """A second job would go out on the first one's account."""
    await running.sandbox("bound", tenant="first")
    assert running.gates.bind("bound", Job("job-of-bound", "first"))
    assert not running.gates.bind("bound", Job("another", "first"))
    assert not running.gates.bind("bound", Job("job-of-bound", "second"))
    assert not running.gates.bind("unknown", Job("a", "b"))


async def test_the_end_of_a_sandbox_ends_its_connections(running: Proxy, upstream: Upstream) -> None:
    """A job's traffic would go on after the job."""
    sandbox = await running.sandbox("ends")
    reader, writer = await tunnel(sandbox, FILES)
    writer.write(client_hello(FILES))
    assert (await reader.read(3)) == b"\x16\3\3"
    asking = asyncio.create_task(sandbox.say(f"GET http://{FILES}/wait HTTP/1.1\r\nHost: {FILES}\r\n\r\n".encode()))

    async def asked() -> bool:
        return bool(upstream.asked)

    await eventually(asked, 10, "the request to arrive")
    running.gates.close("ends")
    async with asyncio.timeout(10):
        await rest(reader)
        assert b"200" not in await asking
    writer.close()
    with pytest.raises(ConnectionError):
        await sandbox.connect()


async def test_the_connections_of_one_job_are_limited(tmp_path: Path, internet: Internet) -> None:
    """One job would take them all."""
    async with proxy(tmp_path / "few", internet, DOMAINS, connections=2) as few:
        greedy, other = await few.sandbox("greedy"), await few.sandbox("other")
        held = [await greedy.connect() for _ in range(2)]

        async def full() -> bool:
            return b'egress_open_connections{template="default"} 2.0' in few.metrics.text()

        await eventually(full, 5, "both to be taken")
        status, _, body = await greedy.ask("GET", f"http://{FILES}/")
        assert status == 503
        assert "2 connections" in detail(body)
        assert (await other.ask("GET", f"http://{FILES}/"))[0] == 200
        for _, writer in held:
            writer.transport.abort()

        async def free() -> bool:
            return (await greedy.ask("GET", f"http://{FILES}/"))[0] == 200

        await eventually(free, 10, "a place to be free again")


async def test_a_tenant_that_has_spent_its_day_is_refused_and_another_is_not(
    tmp_path: Path, internet: Internet
) -> None:
    """One tenant's jobs would run up the bill of all."""
    async with proxy(tmp_path / "small", internet, DOMAINS, daily_requests=2) as small:
        first, again = await small.sandbox("first", tenant="a"), await small.sandbox("again", tenant="a")
        other = await small.sandbox("other", tenant="b")
        assert (await first.ask("GET", f"http://{FILES}/"))[0] == 200
        assert (await again.ask("GET", f"http://{FILES}/"))[0] == 200
        status, _, body = await first.ask("GET", f"http://{FILES}/")
        assert status == 429
        assert "2 requests of today" in detail(body)
        assert (await other.ask("GET", f"http://{FILES}/"))[0] == 200


async def test_a_refused_request_is_a_request(tmp_path: Path, internet: Internet) -> None:
    """A job could ask without end, as long as it asks for what it may not have."""
    async with proxy(tmp_path / "small", internet, DOMAINS, daily_requests=2) as small:
        sandbox = await small.sandbox("s")
        await refused(sandbox, "127.0.0.1:443")
        await refused(sandbox, f"{OTHER}:443")
        assert (await sandbox.ask("GET", f"http://{FILES}/"))[0] == 429


@pytest.mark.parametrize("limits", [{"daily_bytes": 1_000_000}, {"job_bytes": 1_000_000}], ids="".join)
async def test_what_is_too_much_is_cut_off_and_the_next_refused(
    tmp_path: Path, internet: Internet, limits: dict[str, Any]
) -> None:
    """A limit that is only looked at between requests is none for one long answer."""
    async with proxy(tmp_path / "small", internet, DOMAINS, **limits) as small:
        sandbox = await small.sandbox("s")
        answer = await sandbox.say(f"GET http://{FILES}/large HTTP/1.1\r\nHost: {FILES}\r\n\r\n".encode())
        assert len(answer) < 1_200_000
        assert (await sandbox.ask("GET", f"http://{FILES}/"))[0] == 429


async def test_what_a_job_sends_counts_as_well(tmp_path: Path, internet: Internet) -> None:
    """What leaves is worth more than what comes."""
    async with proxy(tmp_path / "small", internet, DOMAINS, job_bytes=100_000) as small:
        sandbox = await small.sandbox("s")
        status, _, _ = await sandbox.ask("POST", f"http://{FILES}/", b"x" * 900_000)
        assert status == 429
        reader, writer = await tunnel(await small.sandbox("t"), FILES)
        writer.write(client_hello(FILES))
        async with asyncio.timeout(10):
            await reader.read(3)
            writer.write(b"\x17\3\3\x40\0" + bytes(16_384))
            for _ in range(40):
                writer.write(b"\x17\3\3\x40\0" + bytes(16_384))
            await rest(reader)
        writer.close()
        assert b'verdict="budget"' in small.metrics.text()
