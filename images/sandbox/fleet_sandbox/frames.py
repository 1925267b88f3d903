"""The runner's two streams: a frame is one letter, a 4-byte big-endian length, and that many bytes."""

import os
import struct

FRAME = struct.Struct(">cI")
MAXIMUM_PAYLOAD_BYTES = 32 * 1024 * 1024


def receive() -> memoryview | None:
    """Wait for the job; None if the input ends first."""
    prefix = read_exactly(FRAME.size)
    if prefix is None:
        return None
    kind, length = FRAME.unpack(prefix)
    if kind != b"J" or length > MAXIMUM_PAYLOAD_BYTES:
        raise ValueError("the first frame is not a job")
    payload = read_exactly(length)
    return None if payload is None else memoryview(payload)


def read_exactly(size: int) -> bytearray | None:
    """Read that many bytes of the runner's input; None if it ends before."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = os.readv(0, [view])
        if count == 0:
            return None
        view = view[count:]
    return data


def send(kind: bytes, body: bytes) -> None:
    """Write one frame, waiting where the reader is slow: that is what holds a flood of output back."""
    frame = memoryview(FRAME.pack(kind, len(body)) + body)
    while frame:
        frame = frame[os.write(1, frame) :]
