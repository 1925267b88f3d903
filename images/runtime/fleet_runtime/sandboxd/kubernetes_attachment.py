"""A pod's standard streams over a WebSocket, as asyncio sees them."""

import asyncio
import contextlib
import json
import secrets
from typing import cast

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.flow import Flow
from fleet_runtime.sandboxd.frames import FrameError, encode_frame, read_frame

_STDIN, _STDOUT, _STDERR, _ERROR = 0, 1, 2, 3
_DIAGNOSTIC_BYTES = 4096
_BUFFER_BYTES = 256 * 1024
_CHUNK_BYTES = 64 * 1024
_GREETING_SECONDS = 10.0


class PodAttachment:
    """Each message of the connection is one byte that names the stream, and a piece of it.

    What the runner says on standard output goes to `output`, whose reader holds the stream back where it is slow.
    """

    def __init__(self, name: str, connection: ClientConnection) -> None:
        """Own a connection, and begin to read."""
        self.name = name
        self.output = asyncio.StreamReader(limit=_BUFFER_BYTES)
        self.ended = asyncio.Event()
        self._connection = connection
        self._flow = Flow()
        self.output.set_transport(cast("asyncio.Transport", self._flow))
        self._to_send: asyncio.Queue[memoryview] = asyncio.Queue()
        self._diagnostics = bytearray()
        self._reading = asyncio.create_task(self._read())
        self._writing = asyncio.create_task(self._write())

    async def greet(self) -> None:
        """Have the runner say that it is ready, now and to nobody else; raises BackendError.

        It said so when it started, long before anybody was attached, and may say so twice: only the answer to a number
        that was never used before counts. Whoever reads `output` finds the plain word that a runner starts with.
        """
        number = secrets.token_bytes(16)
        self.send(encode_frame(b"H", number))
        try:
            async with asyncio.timeout(_GREETING_SECONDS):
                while (frame := await read_frame(self.output)) != (b"R", number):
                    if frame != (b"R", b""):
                        raise FrameError(f"a frame {frame[0]!r} came before the answer to a greeting")
        except (EOFError, FrameError, TimeoutError) as error:
            said = self.diagnostics() or str(error) or f"nothing within {_GREETING_SECONDS:g} s"
            raise BackendError(f"pod {self.name} did not answer as a sandbox does: {said}") from error
        self.output.feed_data(encode_frame(b"R"))

    def send(self, data: bytes) -> None:
        """Write to the runner's standard input."""
        if not self._reading.done():
            self._to_send.put_nowait(memoryview(data))

    def retire(self) -> None:
        """Have a pool take this sandbox for gone, though a job that runs in it may end."""
        self.ended.set()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._connection.transport.abort()
        self._flow.resume_reading()

    def diagnostics(self) -> str:
        """Return what came on standard error, and why the stream ended where it was told."""
        return self._diagnostics.decode(errors="replace").strip()

    async def _read(self) -> None:
        try:
            while True:
                message = await self._connection.recv(decode=False)
                stream, part = message[0] if message else -1, message[1:]
                if stream == _STDOUT:
                    self.output.feed_data(part)
                    await self._flow.wait()
                elif stream in (_STDERR, _ERROR):
                    self._note(part if stream == _STDERR else _reason(part))
        except ConnectionClosed as error:
            if not self._diagnostics and error.rcvd is not None:
                self._note(error.rcvd.reason.encode())
        finally:
            self.output.feed_eof()
            self.ended.set()
            self._writing.cancel()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                data = await self._to_send.get()
                while data:
                    await self._connection.send(bytes((_STDIN,)) + data[:_CHUNK_BYTES])
                    data = data[_CHUNK_BYTES:]

    def _note(self, text: bytes) -> None:
        self._diagnostics += text[: _DIAGNOSTIC_BYTES - len(self._diagnostics)]


def _reason(status: bytes) -> bytes:
    """Return the words of a Status object; none where it says that all went well."""
    try:
        said = json.loads(status)
        return b"" if said.get("status") == "Success" else str(said["message"]).encode()
    except (ValueError, KeyError, AttributeError):
        return status
