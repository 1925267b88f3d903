"""What passes the proxy, over real sockets, with real TLS servers at the other end."""

import asyncio
import json
from pathlib import Path

import pytest
from egress_gate import PUBLIC, Internet, Proxy, Sandbox, detail, parsed, refused, tunnel
from egress_world import API, CREDENTIAL, FILES, OTHER, SECRET, Authority, Upstream, upstream_server
from fleet_runtime.egress.config import Credential
from fleet_runtime.egress.reflection import Reflected, Reflection
from pydantic import SecretStr


async def test_a_request_goes_out_over_tls_with_the_credential(sandbox: Sandbox, upstream: Upstream) -> None:
    """A sandbox that had to hold the credential itself could give it away."""
    status, headers, body = await sandbox.ask("POST", f"http://{API}/v1/x?y=z", b"hello", x_mine="1")
    assert (status, json.loads(body)) == (200, {"body": "hello", "path": "/v1/x?y=z"})
    assert SECRET not in json.dumps(headers) + body.decode()
    (asked,) = upstream.asked
    sent = dict(asked["headers"])
    assert (asked["method"], sent["host"], sent["authorization"]) == ("POST", API, CREDENTIAL)
    assert sent["x-mine"] == "1"


@pytest.mark.parametrize("name", ["Authorization", "AUTHORIZATION", "authorization"])
async def test_the_jobs_own_header_of_that_name_is_dropped(sandbox: Sandbox, upstream: Upstream, name: str) -> None:
    """A server that takes the first of two would act for the job's own account."""
    answer = await sandbox.say(
        f"GET http://{API}/ HTTP/1.1\r\nHost: {API}\r\n{name}: Bearer mine\r\n{name}: Bearer two\r\n\r\n".encode()
    )
    assert parsed(answer)[0] == 200
    assert [value for key, value in upstream.asked[0]["headers"] if key == "authorization"] == [CREDENTIAL]


async def test_a_domain_without_a_credential_gets_none(sandbox: Sandbox, upstream: Upstream) -> None:
    """One domain's credential is a secret from the others."""
    status, _, _ = await sandbox.ask("GET", f"http://{FILES}/", authorization="Bearer mine")
    assert status == 200
    assert dict(upstream.asked[0]["headers"])["authorization"] == "Bearer mine"


async def test_headers_of_one_connection_stay_on_it(sandbox: Sandbox, upstream: Upstream) -> None:
    """They mean something to the proxy, and something else to the server behind it (RFC 9110, 7.6.1)."""
    answer = await sandbox.say(
        f"GET http://{FILES}/hop HTTP/1.1\r\nHost: {FILES}\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\n"
        "Keep-Alive: 9\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
        "Upgrade: websocket\r\nX-Kept: 2\r\n\r\n".encode()
    )
    _, headers, body = parsed(answer)
    assert body == b"ok"
    assert headers["x-outer"] == "2"
    assert not {"x-inner", "keep-alive"} & headers.keys()
    assert headers["connection"] == "close"
    assert {name for name, _ in upstream.asked[0]["headers"]} == {"host", "connection", "x-kept"}


async def test_bodies_of_unknown_length_pass_in_both_directions(sandbox: Sandbox, upstream: Upstream) -> None:
    """Streams of tokens have no length."""
    answer = await sandbox.say(
        f"POST http://{FILES}/chunks HTTP/1.1\r\nHost: {FILES}\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n".encode()
    )
    assert parsed(answer)[2] == b"one two three"
    assert upstream.asked[0]["body"] == "abcde"
    assert "x-trailer" not in dict(upstream.asked[0]["headers"])


async def test_a_large_answer_arrives_whole(sandbox: Sandbox, running: Proxy) -> None:
    """Bytes must not be lost between two buffers."""
    status, _, body = await sandbox.ask("GET", f"http://{API}/large")
    assert (status, body) == (200, b"x" * 4_000_000)
    assert b'egress_bytes_total{direction="received",template="default"} 4' in running.metrics.text()


async def test_an_answer_without_a_body_ends(sandbox: Sandbox) -> None:
    """A client would wait for bytes that never come."""
    assert (await sandbox.ask("GET", f"http://{FILES}/empty"))[0] == 204
    status, headers, body = await sandbox.ask("HEAD", f"http://{FILES}/large")
    assert (status, headers["content-length"], body) == (200, "4000000", b"")


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on(sandbox: Sandbox) -> None:
    """curl waits a second before every larger body otherwise."""
    reader, writer = await sandbox.connect()
    writer.write(
        f"POST http://{FILES}/ HTTP/1.1\r\nHost: {FILES}\r\nContent-Length: 2\r\n".encode()
        + b"Expect: 100-continue\r\n\r\n"
    )
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"ok")
        assert parsed(await reader.read())[0] == 200
    writer.close()


async def test_a_tunnel_carries_the_jobs_own_tls(sandbox: Sandbox, authority: Authority) -> None:
    """The proxy cannot read what passes there, and the job knows whom it talks to."""
    reader, writer = await tunnel(sandbox, FILES)
    async with asyncio.timeout(10):
        await writer.start_tls(authority.client_context(), server_hostname=FILES)
        writer.write(f"GET /in HTTP/1.1\r\nHost: {FILES}\r\nConnection: close\r\n\r\n".encode())
        assert json.loads(parsed(await reader.read())[2])["path"] == "/in"
    writer.close()


async def test_a_name_below_a_wildcard_is_reached(sandbox: Sandbox) -> None:
    """A list could only name what is known beforehand."""
    assert (await sandbox.ask("GET", "http://a.wild.example/"))[0] == 200
    assert "not among the domains" in await refused(sandbox, "wild.example:443")


async def test_plain_http_in_a_tunnel_gets_the_same_rules(sandbox: Sandbox, upstream: Upstream) -> None:
    """Node's fetch tunnels http:// too; what is in there must not pass unseen."""
    reader, writer = await tunnel(sandbox, API, 80)
    writer.write(f"GET /t HTTP/1.1\r\nHost: {API}\r\n\r\nGET /second HTTP/1.1\r\nHost: {OTHER}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert json.loads(parsed(await reader.read())[2])["path"] == "/t"
    writer.close()
    assert [each["path"] for each in upstream.asked] == ["/t"]
    assert dict(upstream.asked[0]["headers"])["authorization"] == CREDENTIAL
    reader, writer = await tunnel(sandbox, API, 80)
    writer.write(f"GET /t HTTP/1.1\r\nHost: {OTHER}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert parsed(await reader.read())[0] == 400
    writer.close()


@pytest.mark.parametrize("path", ["/reflect-body", "/reflect-header", "/reflect-reason"])
async def test_a_credential_that_comes_back_is_kept_from_the_job(sandbox: Sandbox, path: str) -> None:
    """A server that repeats what it was asked would hand it to the sandbox."""
    answer = await sandbox.say(f"GET http://{API}{path} HTTP/1.1\r\nHost: {API}\r\n\r\n".encode())
    assert SECRET.encode() not in answer
    assert SECRET[:12].encode() not in answer


@pytest.mark.parametrize(
    ("value", "repeated", "harmless"),
    [
        ("Bearer sk-0123456789", b"sk-0123456789", b"Bearer realm"),
        ("Signature k=1x", b"Signature k=1x", b"Signature required"),
        ("0123456789", b"0123456789", b"012345678"),
    ],
)
def test_the_secret_part_of_a_credential_is_looked_for(value: str, repeated: bytes, harmless: bytes) -> None:
    """With the scheme alone looked for, the secret passed, and answers that name the scheme did not."""
    credential = Credential(header="Authorization", value=SecretStr(value))
    with pytest.raises(Reflected):
        Reflection(credential).feed(b"you said " + repeated)
    found = Reflection(credential)
    assert found.feed(harmless) + found.rest() == harmless


async def test_a_server_with_another_certificate_gets_nothing(
    sandbox: Sandbox, internet: Internet, tmp_path: Path
) -> None:
    """The credential would go to whoever sits on the way."""
    with upstream_server(Authority(tmp_path).server_context(API)) as stranger:
        internet.ports[PUBLIC] = stranger.port
        status, _, body = await sandbox.ask("GET", f"http://{API}/")
        assert status == 502
        assert "certificate" in detail(body)
        assert stranger.asked == []


async def test_a_server_that_is_not_there_is_said_to_be_so(sandbox: Sandbox, internet: Internet) -> None:
    """A job must be able to tell its own mistake from the network's."""
    internet.ports.clear()
    status, _, body = await sandbox.ask("GET", f"http://{FILES}/")
    assert status == 502
    assert "cannot be reached" in detail(body)
    internet.names[FILES] = []
    status, _, body = await sandbox.ask("GET", f"http://{FILES}/")
    assert status == 502
    assert "cannot be resolved" in detail(body)


async def test_an_answer_that_is_no_http_is_a_bad_gateway(sandbox: Sandbox) -> None:
    """What a server says outside of HTTP must not reach the client as if it were."""
    assert (await sandbox.ask("GET", f"http://{FILES}/nonsense"))[0] == 502


async def test_a_first_address_that_is_dead_does_not_keep_from_the_second(sandbox: Sandbox, internet: Internet) -> None:
    """Hosts without IPv6 get addresses of it all the same."""
    internet.names[FILES] = [["2a00::1", PUBLIC]]
    assert (await sandbox.ask("GET", f"http://{FILES}/"))[0] == 200
