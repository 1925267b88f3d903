"""The connection that Docker attaches to a sandbox's standard streams, as asyncio sees it."""

import asyncio
import socket
from typing import cast

_HEADER_BYTES = 8
_STDOUT, _STDERR = 1, 2
_DIAGNOSTIC_BYTES = 4096
_BUFFER_BYTES = 256 * 1024


class Attachment(asyncio.Protocol):
    """Takes Docker's multiplexed stream apart: 8 bytes of header (stream, 0, 0, 0, length), then that many bytes.

    What the runner says on standard output goes to `output`, whose reader holds the stream back where it is slow.
    """

    def __init__(self, name: str) -> None:
        """Make the reader; `connected` gives it a connection."""
        self.name = name
        self.output = asyncio.StreamReader(limit=_BUFFER_BYTES)
        self.ended = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._header = bytearray()
        self._stream = _STDOUT
        self._left = 0
        self._diagnostics = bytearray()

    @classmethod
    async def connected(cls, name: str, connection: socket.socket) -> "Attachment":
        """Return an attachment over a hijacked connection, which it then owns."""
        connection.setblocking(False)
        attachment = cls(name)
        loop = asyncio.get_running_loop()
        if connection.family == socket.AF_UNIX:
            await loop.create_unix_connection(lambda: attachment, sock=connection)
        else:
            await loop.create_connection(lambda: attachment, sock=connection)
        return attachment

    def send(self, data: bytes) -> None:
        """Write to the runner's standard input."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def diagnostics(self) -> str:
        """Return what came on standard error."""
        return self._diagnostics.decode(errors="replace").strip()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        # uvloop's transports are not of asyncio's class, but of its shape.
        self._transport = cast("asyncio.Transport", transport)
        self.output.set_transport(self._transport)

    def data_received(self, data: bytes) -> None:
        """Sort the bytes by stream; headers may be split anywhere."""
        position = 0
        while position < len(data):
            if self._left == 0:
                missing = _HEADER_BYTES - len(self._header)
                self._header += data[position : position + missing]
                position += missing
                if len(self._header) == _HEADER_BYTES:
                    self._stream = self._header[0]
                    self._left = int.from_bytes(self._header[4:], "big")
                    self._header.clear()
                continue
            part = data[position : position + self._left]
            position += len(part)
            self._left -= len(part)
            if self._stream == _STDOUT:
                self.output.feed_data(part)
            elif self._stream == _STDERR and len(self._diagnostics) < _DIAGNOSTIC_BYTES:
                self._diagnostics += part[: _DIAGNOSTIC_BYTES - len(self._diagnostics)]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it by name
        """Tell whoever reads, or only waits, that nothing more comes."""
        self.output.feed_eof()
        self.ended.set()

    def eof_received(self) -> bool:
        """Close our side too: a sandbox whose output has ended has nothing left to be told."""
        return False
