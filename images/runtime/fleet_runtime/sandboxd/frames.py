"""The frames between sandboxd and the runner in a sandbox: one letter, a 4-byte big-endian length, that many bytes."""

import asyncio
import struct

from fleet_runtime.sandboxd.protocol import MAXIMUM_OUTPUT_BYTES

_FRAME = struct.Struct(">cI")
_CPU_LIMIT = struct.Struct(">Q")
_MAXIMUM_FRAME_BYTES = MAXIMUM_OUTPUT_BYTES


class FrameError(Exception):
    """The runner sent something that no runner of ours sends."""


def encode_frame(kind: bytes, body: bytes = b"") -> bytes:
    """Return one frame's bytes."""
    return _FRAME.pack(kind, len(body)) + body


def cpu_limit_frame(seconds: float) -> bytes:
    """Return the frame that limits the processor time of the job after it."""
    return encode_frame(b"L", _CPU_LIMIT.pack(round(seconds * 1e6)))


async def read_frame(output: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the next frame's letter and content; raises FrameError, or EOFError where the sandbox has ended."""
    kind, length = _FRAME.unpack(await output.readexactly(_FRAME.size))
    if length > _MAXIMUM_FRAME_BYTES:
        raise FrameError(f"a frame of {length} bytes was announced; at most {_MAXIMUM_FRAME_BYTES} are allowed")
    return kind, await output.readexactly(length) if length else b""
