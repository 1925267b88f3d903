"""A sandbox's standard streams, as asyncio sees them: one socket to its runner, and a pipe for what else it says.

A socket, and not two pipes, because nothing in a sandbox can open it a second time by way of /proc.
"""

import asyncio
import os
import socket
from typing import cast

_BUFFER_BYTES = 256 * 1024
_DIAGNOSTIC_BYTES = 4096


class SocketAttachment(asyncio.Protocol):
    """What the runner says goes to `output`, whose reader holds it back where it is slow."""

    def __init__(self, name: str) -> None:
        """Make the reader; `opened` gives it its streams."""
        self.name = name
        self.output = asyncio.StreamReader(limit=_BUFFER_BYTES)
        self.ended = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._errors: int | None = None
        self._diagnostics = b""

    @classmethod
    async def opened(cls, name: str, connection: socket.socket, errors: int) -> "SocketAttachment":
        """Return an attachment over our end of a socket and the reading end of a pipe, both of which it then owns."""
        attachment = cls(name)
        attachment._errors = errors
        os.set_blocking(errors, False)
        connection.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: attachment, sock=connection)
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
        """Return what came on standard error so far. Nobody reads more of it than a pipe holds."""
        self._read_errors()
        return self._diagnostics.decode(errors="replace").strip()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        # uvloop's transports are not of asyncio's class, but of its shape.
        self._transport = cast("asyncio.Transport", transport)
        self.output.set_transport(self._transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.output.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it by name
        """Tell whoever reads, or only waits, that nothing more comes."""
        self._read_errors()
        if self._errors is not None:
            os.close(self._errors)
            self._errors = None
        self.output.feed_eof()
        self.ended.set()

    def eof_received(self) -> bool:
        """Close our side too: a sandbox whose output has ended has nothing left to be told."""
        return False

    def _read_errors(self) -> None:
        if self._errors is not None and len(self._diagnostics) < _DIAGNOSTIC_BYTES:
            try:
                self._diagnostics += os.read(self._errors, _DIAGNOSTIC_BYTES - len(self._diagnostics))
            except OSError:
                return
