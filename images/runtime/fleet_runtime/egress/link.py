"""The connection between sandboxd and the proxy: whole JSON messages, each with at most one descriptor."""

import array
import asyncio
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, cast

MAXIMUM_BYTES = 64 * 1024

_DESCRIPTOR = array.array("i")
_CREDENTIALS = struct.Struct("3i")
_SPACE = socket.CMSG_SPACE(_DESCRIPTOR.itemsize)


class LinkError(Exception):
    """The other end is gone, or does not speak as it should."""


class Link:
    """One end. It is a SOCK_SEQPACKET, so a message arrives whole or not at all."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connected socket."""
        connection.setblocking(False)
        self._connection = connection
        self._sending = asyncio.Lock()
        self._closed = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def peer_uid(self) -> int:
        """The user ID that the kernel says is at the other end."""
        credentials = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return _CREDENTIALS.unpack(credentials)[1]

    async def send(self, message: Mapping[str, Any], descriptor: int | None = None) -> None:
        """Send one message; raises LinkError."""
        data = json.dumps(message, separators=(",", ":")).encode()
        if len(data) > MAXIMUM_BYTES:
            raise LinkError(f"a message of {len(data)} bytes; at most {MAXIMUM_BYTES} are allowed")
        rights = []
        if descriptor is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        async with self._sending:
            while True:
                self._check_open()
                try:
                    self._connection.sendmsg([data], rights)
                    return
                except BlockingIOError:
                    await self._ready(writing=True)
                except OSError as error:
                    raise LinkError(f"the connection broke: {error.strerror}") from None

    async def receive(self) -> tuple[dict[str, Any], int | None]:
        """Return the next message and the descriptor that came with it; raises LinkError, also at its end."""
        while True:
            self._check_open()
            try:
                data, ancillary, flags, _ = self._connection.recvmsg(MAXIMUM_BYTES, _SPACE, socket.MSG_CMSG_CLOEXEC)
                break
            except BlockingIOError:
                await self._ready(writing=False)
            except OSError as error:
                raise LinkError(f"the connection broke: {error.strerror}") from None
        descriptor = _descriptor(ancillary)
        try:
            if not data:
                raise LinkError("the other end closed the connection")
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise LinkError("a message was longer than is allowed")
            message = json.loads(data)
            if not isinstance(message, dict):
                raise LinkError("a message is not a JSON object")
        except (LinkError, ValueError, RecursionError) as error:
            if descriptor is not None:
                os.close(descriptor)
            raise error if isinstance(error, LinkError) else LinkError("a message is not JSON") from None
        return cast("dict[str, Any]", message), descriptor

    def close(self) -> None:
        """Close it; whoever sends or receives is told so."""
        if not self._closed:
            self._closed = True
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._connection.fileno())
            loop.remove_writer(self._connection.fileno())
            self._connection.close()
            for woken in self._waiting:
                _wake(woken)

    def _check_open(self) -> None:
        if self._closed:
            raise LinkError("the connection is closed")

    async def _ready(self, *, writing: bool) -> None:
        loop = asyncio.get_running_loop()
        number = self._connection.fileno()
        woken: asyncio.Future[None] = loop.create_future()
        add: Callable[..., object] = loop.add_writer if writing else loop.add_reader
        remove: Callable[[int], object] = loop.remove_writer if writing else loop.remove_reader
        self._waiting.add(woken)
        add(number, _wake, woken)
        try:
            await woken
        finally:
            self._waiting.discard(woken)
            if not self._closed:
                remove(number)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _descriptor(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and len(data) >= _DESCRIPTOR.itemsize:
            received = array.array("i")
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
            for extra in received[1:]:
                os.close(extra)
            return received[0]
    return None
