"""Framing, at the socket and in Docker's stream, whatever way the bytes happen to be cut."""

import asyncio
import struct

import pytest
from fleet_runtime.sandboxd.docker_attachment import Attachment
from fleet_runtime.sandboxd.frames import FrameError, encode_frame, read_frame
from fleet_runtime.sandboxd.protocol import (
    MAXIMUM_BODY_BYTES,
    ProtocolError,
    encode_message,
    parse_header,
    read_message,
)
from hypothesis import given
from hypothesis import strategies as st

CHUNKS = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=10)


def fed(data: bytes) -> asyncio.StreamReader:
    """A stream that holds these bytes and ends."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@given(st.dictionaries(st.text(max_size=10).filter(lambda key: key != "body"), st.integers()), st.binary(max_size=100))
def test_a_message_is_read_as_it_was_written(header: dict[str, int], body: bytes) -> None:
    """Both ends of the socket must mean the same."""

    async def check() -> None:
        reader = fed(encode_message(header, body) + encode_message(header))
        assert await read_message(reader) == ({**header, "body": len(body)}, body)
        assert await read_message(reader) == (header, b"")
        assert await read_message(reader) is None

    asyncio.run(check())


@pytest.mark.parametrize("body", ["-1", str(MAXIMUM_BODY_BYTES + 1), "1.5", '"1"', "true", "null", "[1]", "1e999"])
def test_a_body_of_an_impossible_length_is_refused(body: str) -> None:
    """A length decides how much memory is taken."""
    with pytest.raises(ProtocolError):
        parse_header(f'{{"body": {body}}}'.encode())


@given(CHUNKS, st.integers(1, 20))
def test_dockers_stream_is_taken_apart_however_it_is_cut(chunks: list[tuple[int, bytes]], size: int) -> None:
    """A header may arrive in two pieces, and often does under load."""

    async def check() -> None:
        attachment = Attachment("x")
        stream = b"".join(bytes([kind, 0, 0, 0]) + struct.pack(">I", len(data)) + data for kind, data in chunks)
        for start in range(0, len(stream), size):
            attachment.data_received(stream[start : start + size])
        attachment.connection_lost(None)
        assert await attachment.output.read() == b"".join(data for kind, data in chunks if kind == 1)
        said = b"".join(data for kind, data in chunks if kind == 2)
        assert attachment.diagnostics() == said.decode(errors="replace").strip()
        assert attachment.ended.is_set()

    asyncio.run(check())


@given(st.binary(min_size=1, max_size=1), st.binary(max_size=100))
def test_a_frame_is_read_as_it_was_written(kind: bytes, body: bytes) -> None:
    """The runner's frames carry results."""

    async def check() -> None:
        assert await read_frame(fed(encode_frame(kind, body))) == (kind, body)

    asyncio.run(check())


async def test_a_frame_longer_than_any_is_refused() -> None:
    """A broken runner must not make sandboxd take gigabytes."""
    with pytest.raises(FrameError):
        await read_frame(fed(struct.pack(">cI", b"1", 2**32 - 1)))
