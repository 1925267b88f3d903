"""What the proxy refuses: a sandbox's job may try all of it."""

import asyncio

import pytest
from egress_gate import PUBLIC, Internet, Sandbox, detail, parsed, refused, rest, tunnel
from egress_world import API, FILES, OTHER, Upstream
from fleet_runtime.egress import proxy as proxy_module
from fleet_runtime.egress import tunnel as tunnel_module
from test_egress_client_hello import client_hello, made, sni


@pytest.mark.parametrize(
    "target",
    ["169.254.169.254:80", "127.0.0.1:5432", "[::1]:443", "[::ffff:10.0.0.1]:443", "0x7f.1:443", "2130706433:443"],
)
async def test_an_address_is_refused_as_such(sandbox: Sandbox, internet: Internet, target: str) -> None:
    """The metadata service, the database and the host have addresses and need no names."""
    assert "addresses" in await refused(sandbox, target)
    status, _, _ = parsed(await sandbox.say(f"GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()))
    assert status == 400
    assert internet.connected == []


async def test_a_domain_that_is_not_listed_is_refused_by_name(sandbox: Sandbox, internet: Internet) -> None:
    """The user has to know which setting to change."""
    why = await refused(sandbox, f"{OTHER}:443")
    assert OTHER in why
    assert "fleet.sandbox.egress.domains" in why
    assert internet.connected == []


@pytest.mark.parametrize("port", [22, 25, 53, 80 + 8000, 465, 5432, 65535])
async def test_other_ports_are_refused(sandbox: Sandbox, internet: Internet, port: int) -> None:
    """Mail and shells are reached through allowed domains too."""
    assert f"port {port}" in await refused(sandbox, f"{FILES}:{port}")
    status, _, _ = await sandbox.ask("GET", f"http://{FILES}:{port}/")
    assert status == 403
    assert internet.connected == []


@pytest.mark.parametrize(
    "answers",
    [
        ["169.254.169.254"],
        ["10.1.2.3"],
        ["127.0.0.1"],
        ["172.17.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::a9fe:a9fe"],
        ["2002:7f00:1::"],
        ["fd00:ec2::254"],
        [PUBLIC, "127.0.0.1"],
        ["fe80::1%eth0", PUBLIC],
        ["nonsense"],
    ],
)
async def test_a_name_that_leads_inside_is_refused(sandbox: Sandbox, internet: Internet, answers: list[str]) -> None:
    """Whoever owns an allowed domain decides what it resolves to."""
    internet.names[FILES] = [answers]
    internet.ports |= dict.fromkeys(answers, internet.ports[PUBLIC])
    status, _, body = await sandbox.ask("GET", f"http://{FILES}/")
    assert status == 403
    assert "public address" in detail(body)
    # What a name resolves to inside is nothing that a job is told.
    assert not any(answer in detail(body) for answer in answers)
    await refused(sandbox, f"{FILES}:443")
    assert internet.connected == []


async def test_a_name_that_changes_after_it_was_judged_gains_nothing(sandbox: Sandbox, internet: Internet) -> None:
    """Rebinding: a second look at the name would find the metadata service."""
    internet.names[FILES] = [[PUBLIC], ["169.254.169.254"], [PUBLIC]]
    internet.ports["169.254.169.254"] = internet.ports[PUBLIC]
    assert (await sandbox.ask("GET", f"http://{FILES}/"))[0] == 200
    assert (await sandbox.ask("GET", f"http://{FILES}/"))[0] == 403
    assert (await sandbox.ask("GET", f"http://{FILES}/"))[0] == 200
    assert internet.connected == [(PUBLIC, 443)] * 2


async def test_a_tunnel_to_a_domain_with_a_credential_is_refused(sandbox: Sandbox) -> None:
    """The proxy could neither add the credential nor see whose account is used instead."""
    assert f"http://{API}/" in await refused(sandbox, f"{API}:443")


@pytest.mark.parametrize(
    "first",
    [
        client_hello(OTHER),
        client_hello(None),
        made(sni((0, FILES.encode()), (0, OTHER.encode()))),
        b"GET / HTTP/1.1\r\nHost: files.allowed.example\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_a_tunnel_is_for_tls_to_its_own_host_alone(sandbox: Sandbox, upstream: Upstream, first: bytes) -> None:
    """One address serves many hosts: a tunnel to an allowed one must not be a way to another."""
    reader, writer = await tunnel(sandbox, FILES)
    writer.write(first)
    async with asyncio.timeout(10):
        assert await rest(reader) == b""
    writer.close()
    assert upstream.asked == []


async def test_the_host_header_is_the_targets(sandbox: Sandbox, upstream: Upstream) -> None:
    """A server that goes by it would serve another host."""
    for request in (
        f"GET http://{FILES}/ HTTP/1.1\r\nHost: {OTHER}\r\n\r\n",
        f"GET http://{FILES}/ HTTP/1.1\r\nHost: {FILES}\r\nHost: {OTHER}\r\n\r\n",
        f"GET http://{FILES}/ HTTP/1.1\r\n\r\n",
    ):
        assert parsed(await sandbox.say(request.encode()))[0] == 400
    assert upstream.asked == []


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 5, 5\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\0\r\n",
    ],
)
async def test_a_request_whose_end_is_unclear_is_refused(sandbox: Sandbox, upstream: Upstream, framing: str) -> None:
    """A second request could hide in the first one's body."""
    hidden = f"0\r\n\r\nGET http://{OTHER}/ HTTP/1.1\r\nHost: {OTHER}\r\n\r\n"
    answer = await sandbox.say(f"POST http://{FILES}/ HTTP/1.1\r\nHost: {FILES}\r\n{framing}\r\n{hidden}".encode())
    assert parsed(answer)[0] in (400, 501)
    assert upstream.asked == []


async def test_a_second_request_on_a_connection_is_never_read(sandbox: Sandbox, upstream: Upstream) -> None:
    """Only the first was judged."""
    request = f"GET http://{FILES}/one HTTP/1.1\r\nHost: {FILES}\r\n\r\n"
    answer = await sandbox.say((request + request.replace("one", "two") * 3).encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [each["path"] for each in upstream.asked] == ["/one"]


async def test_headers_without_end_are_refused(sandbox: Sandbox, upstream: Upstream) -> None:
    """They would be kept in memory."""
    head = f"GET http://{FILES}/ HTTP/1.1\r\nHost: {FILES}\r\n"
    assert parsed(await sandbox.say((head + "X: " + "y" * 200_000).encode()))[0] in (400, 431)
    assert parsed(await sandbox.say((head + "X: y\r\n" * 20_000).encode()))[0] in (400, 431)
    assert upstream.asked == []


@pytest.mark.parametrize("data", [b"\0" * 50, b"\x16\3\1" + bytes(200), b"\r\n" * 9, b"GET\r\n\r\n", b"\5\1\0"])
async def test_what_is_no_http_is_answered_and_closed(sandbox: Sandbox, data: bytes) -> None:
    """A client of another protocol must not wait for ever."""
    reader, writer = await sandbox.connect()
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(10):
        answer = await rest(reader)
    assert answer == b"" or parsed(answer)[0] == 400
    writer.close()


async def test_a_request_that_never_ends_is_given_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow clients would take all connections there are."""
    monkeypatch.setattr(proxy_module, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(tunnel_module, "FIRST_MESSAGE_SECONDS", 0.2)
    assert parsed(await sandbox.say(b"GET http://"))[0] == 408
    reader, writer = await tunnel(sandbox, FILES)
    writer.write(b"\x16")
    async with asyncio.timeout(10):
        assert await rest(reader) == b""
    writer.close()


async def test_a_tunnel_in_which_nothing_moves_is_given_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold a place until its job's end."""
    monkeypatch.setattr(tunnel_module, "IDLE_SECONDS", 0.3)
    reader, writer = await tunnel(sandbox, FILES)
    writer.write(client_hello(FILES))
    async with asyncio.timeout(10):
        assert (await rest(reader)).startswith(b"\x16\3")
    writer.close()


async def test_a_refusal_of_head_has_no_body(sandbox: Sandbox) -> None:
    """A client would take the body for the next answer."""
    answer = await sandbox.say(f"HEAD http://{OTHER}/ HTTP/1.1\r\nHost: {OTHER}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\n")
