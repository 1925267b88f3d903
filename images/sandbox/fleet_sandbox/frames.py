"""The runner's two streams: a frame is one letter, a 4-byte big-endian length, and that many bytes."""

import os
import struct

FRAME = struct.Struct(">cI")
MAXIMUM_PAYLOAD_BYTES = 32 * 1024 * 1024
MAXIMUM_HELLO_BYTES = 64
CPU_LIMIT = struct.Struct(">Q")
"""Microseconds of processor time."""


def receive() -> tuple[memoryview, float | None] | None:
    """Wait for the job and return it with its limit of processor time in seconds; None if the input ends first.

    Whoever attaches to a sandbox that has long been up has missed its R, and asks for another by H. The answer repeats
    what was sent along, so that it is not taken for what the sandbox said earlier, or to somebody else.
    """
    cpu_seconds: float | None = None
    most = {b"J": MAXIMUM_PAYLOAD_BYTES, b"H": MAXIMUM_HELLO_BYTES, b"L": CPU_LIMIT.size}
    while True:
        prefix = read_exactly(FRAME.size)
        if prefix is None:
            return None
        kind, length = FRAME.unpack(prefix)
        if length > most.get(kind, -1):
            raise ValueError("the frame is neither a job nor its limit nor a greeting")
        content = read_exactly(length)
        if content is None:
            return None
        if kind == b"J":
            return memoryview(content), cpu_seconds
        if kind == b"L":
            cpu_seconds = CPU_LIMIT.unpack(content)[0] / 1e6
        else:
            send(b"R", bytes(content))


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
