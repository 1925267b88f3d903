"""The proxy in this process, as one sandbox sees it: a socket, and names that lead to the tests' own servers."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import h11
from egress_world import API, FILES
from fleet_runtime.egress.access import Job, TemplateRules
from fleet_runtime.egress.addresses import Address
from fleet_runtime.egress.budget import Budgets
from fleet_runtime.egress.config import Credential, Policy
from fleet_runtime.egress.dialer import Dialer, Streams
from fleet_runtime.egress.gate import Gates
from fleet_runtime.egress.metrics import Metrics
from fleet_runtime.sandboxd.egress_folders import SOCKET_NAME, EgressFolders

PUBLIC = "93.184.216.34"
DOMAINS = (API, FILES, "*.wild.example")
DAY = date(2026, 11, 21)


@dataclass
class Internet:
    """Names and what they lead to, by turns; addresses and the ports of this machine that stand for them."""

    tls: ssl.SSLContext
    ports: dict[str, int]
    names: dict[str, list[Sequence[str]]]
    connected: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    async def resolve(self, host: str) -> Sequence[str]:
        """Give the next answer, the last one again and again."""
        answers = self.names.get(host)
        if not answers:
            raise OSError(-2, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def connect(self, address: Address, port: int, tls: ssl.SSLContext | None, host: str) -> Streams:
        """Connect to what stands for the address."""
        self.connected.append((str(address), port))
        if port != 443 or str(address) not in self.ports:
            raise OSError(111, "Connection refused")
        here = self.ports[str(address)]
        return await asyncio.open_connection("127.0.0.1", here, ssl=tls, server_hostname=host if tls else None)

    def dialer(self) -> Dialer:
        """A dialer in this internet. It judges addresses as any other does."""
        return Dialer(resolve=self.resolve, connect=self.connect, tls=self.tls)


@dataclass
class Sandbox:
    """One sandbox's end of it."""

    name: str
    socket: Path
    gates: Gates

    async def connect(self) -> Streams:
        """Open a connection."""
        return await asyncio.open_unix_connection(str(self.socket))

    async def say(self, data: bytes) -> bytes:
        """Send bytes and return all that is answered until the proxy closes the connection."""
        reader, writer = await self.connect()
        async with asyncio.timeout(20):
            writer.write(data)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while more := await reader.read(65_536):
                    answer += more
        writer.transport.abort()
        return answer

    async def ask(
        self, method: str, target: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Make one request and return status, headers and body; raises h11.RemoteProtocolError for half an answer."""
        host = target.removeprefix("http://").partition("/")[0]
        lines = {"host": host, **({"content-length": str(len(body))} if body else {})}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        client = h11.Connection(h11.CLIENT)
        request = client.send(h11.Request(method=method, target=target, headers=list(lines.items()))) or b""
        request += (client.send(h11.Data(data=body)) or b"") + (client.send(h11.EndOfMessage()) or b"")
        return parsed(await self.say(request), client)


def parsed(answer: bytes, client: h11.Connection | None = None) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body of an answer."""
    if client is None:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
    client.receive_data(answer)
    client.receive_data(b"")
    status, headers, body = 0, {}, b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return status, headers, body


def detail(body: bytes) -> str:
    """What a problem document says."""
    return json.loads(body)["detail"]


@dataclass
class Proxy:
    """All of it, and the way to more sandboxes."""

    gates: Gates
    metrics: Metrics
    budgets: Budgets
    folders: EgressFolders
    folder: Path

    async def sandbox(self, name: str, *, tenant: str | None = "tenant", template: str = "default") -> Sandbox:
        """Give a sandbox its socket, and a job unless there is no tenant."""
        listening = self.folders.make(name)
        await self.gates.open(name, template, listening.detach())
        if tenant is not None:
            assert self.gates.bind(name, Job(f"job-of-{name}", tenant))
        return Sandbox(name, self.folder / name / SOCKET_NAME, self.gates)


@contextlib.asynccontextmanager
async def proxy(
    folder: Path,
    internet: Internet,
    domains: Sequence[str],
    *,
    credentials: Mapping[str, Credential] | None = None,
    daily_bytes: int = 10**9,
    daily_requests: int = 10**6,
    **policy: Any,
) -> AsyncGenerator[Proxy]:
    """Run it. What is not said about its policy is as it is by default."""
    metrics = Metrics()
    budgets = Budgets(daily_bytes, daily_requests, now=lambda: DAY)
    rules = TemplateRules("default", Policy(domains=tuple(domains), **policy), credentials or {})
    gates = Gates({"default": rules}, budgets, internet.dialer(), metrics)
    try:
        yield Proxy(gates, metrics, budgets, EgressFolders(folder), folder)
    finally:
        gates.close_all()
        await asyncio.sleep(0)


async def tunnel(sandbox: Sandbox, host: str, port: int = 443) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a tunnel, which must be granted."""
    reader, writer = await sandbox.connect()
    writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
    return reader, writer


async def refused(sandbox: Sandbox, authority_: str, host: str | None = None) -> str:
    """Ask for a tunnel that must be refused, and return why it was."""
    request = f"CONNECT {authority_} HTTP/1.1\r\nHost: {host or authority_}\r\n\r\n"
    status, headers, body = parsed(await sandbox.say(request.encode()))
    assert status in (400, 403)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    return detail(body)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes, however it does."""
    found = b""
    try:
        while more := await reader.read(65_536):
            found += more
    except (ConnectionError, ssl.SSLError):
        pass
    return found
