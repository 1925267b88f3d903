"""From a name to a connection: resolved here, every address judged, and connected to a judged address and no other."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import certifi

from fleet_runtime.egress.addresses import Address, Network, parsed, refusal

_RESOLVE_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
_OPEN_SECONDS = 15.0
"""For all addresses of a name together."""
_BUFFER_BYTES = 64 * 1024
_RESOLVERS = ThreadPoolExecutor(64, "resolve")
"""asyncio's own threads are few: one job's names, whose servers do not answer, would keep all others' waiting."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Resolve = Callable[[str], Awaitable[Sequence[str]]]
Judge = Callable[[Address], str | None]
Connect = Callable[[Address, int, ssl.SSLContext | None, str], Awaitable[Streams]]


class RefusedAddress(Exception):  # noqa: N818 - it is a verdict
    """The name leads where the proxy does not go; the text says where, for the log and not for the job."""


class Unreachable(Exception):  # noqa: N818 - it is a verdict
    """The name does not resolve, or nothing answers there."""


class Dialer:
    """Opens connections. What it resolves, judges and connects with are arguments, so that a test can be upstream."""

    def __init__(
        self,
        own: Iterable[Network] = (),
        *,
        resolve: Resolve | None = None,
        judge: Judge | None = None,
        connect: Connect | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the networks that are refused besides the special ones."""
        self._resolve = resolve or _resolve
        self._judge = judge or partial(refusal, own=tuple(own))
        self._connect = connect or _connect
        self._tls = tls or _trusting_public_authorities()

    async def open(self, host: str, port: int, *, tls: bool) -> Streams:
        """Return a connection to the host; raises RefusedAddress or Unreachable.

        One refused address refuses the name: who mixes them means to be connected to the other one next time.
        """
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                return await self._open(host, port, self._tls if tls else None)
        except TimeoutError:
            raise Unreachable(f"{host} did not answer within {_OPEN_SECONDS:g} s") from None

    async def _open(self, host: str, port: int, tls: ssl.SSLContext | None) -> Streams:
        addresses = await self._addresses(host)
        why = "it has no address"
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    return await self._connect(address, port, tls, host)
            except TimeoutError:
                why = "no connection within 5 s"
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(f"the certificate of {host} was not accepted: {error.verify_message}") from None
            except OSError as error:
                why = error.strerror or type(error).__name__
        raise Unreachable(f"{host} cannot be reached: {why}")

    async def _addresses(self, host: str) -> list[Address]:
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await self._resolve(host)
        except TimeoutError:
            raise Unreachable(f"{host} was not resolved within {_RESOLVE_SECONDS:g} s") from None
        except OSError as error:
            raise Unreachable(f"{host} cannot be resolved: {error.strerror or error}") from None
        addresses: list[Address] = []
        for text in found:
            try:
                address = parsed(text)
            except ValueError:
                raise RefusedAddress(f"{host} resolves to {text!r}, which is no address") from None
            why = self._judge(address)
            if why is not None:
                raise RefusedAddress(f"{host} resolves to {address}: {why}")
            if address not in addresses:
                addresses.append(address)
        return addresses


async def _resolve(host: str) -> Sequence[str]:
    # The dot at the end keeps the search domains of this host out.
    asked = partial(socket.getaddrinfo, f"{host}.", None, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, asked)
    return [str(address[0]) for _, _, _, _, address in found]


async def _connect(address: Address, port: int, tls: ssl.SSLContext | None, host: str) -> Streams:
    reader, writer = await asyncio.open_connection(
        str(address), port, ssl=tls, server_hostname=host if tls else None, limit=_BUFFER_BYTES
    )
    peer = writer.get_extra_info("peername")
    if parsed(str(peer[0])) != address:
        writer.transport.abort()
        raise OSError("connected to another address than was asked for")
    return reader, writer


def _trusting_public_authorities() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
