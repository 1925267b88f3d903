"""Framing of the sandboxd socket: 4 bytes of big-endian length, a JSON object, then the `body` bytes it announces."""

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any, cast

MAXIMUM_HEADER_BYTES = 64 * 1024
MAXIMUM_BODY_BYTES = 32 * 1024 * 1024
MAXIMUM_OUTPUT_BYTES = 1_048_576
"""What is kept of each of a job's two outputs (the job contract)."""

_LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """The peer sent something that is not a message; the text says what and is safe to send back."""


def encode_message(header: Mapping[str, Any], body: bytes | None = None) -> bytes:
    """Return one message's bytes; a body, even an empty one, is announced in the header."""
    content = dict(header) if body is None else {**header, "body": len(body)}
    text = json.dumps(content, separators=(",", ":")).encode()
    if len(text) > MAXIMUM_HEADER_BYTES:
        raise ProtocolError(f"a header of {len(text)} bytes; at most {MAXIMUM_HEADER_BYTES} are allowed")
    if body is not None and len(body) > MAXIMUM_BODY_BYTES:
        raise ProtocolError(f"a body of {len(body)} bytes; at most {MAXIMUM_BODY_BYTES} are allowed")
    return b"".join((_LENGTH.pack(len(text)), text, body or b""))


def parse_header(text: bytes) -> tuple[dict[str, Any], int]:
    """Return a header and the length of the body after it; raises ProtocolError."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("the header is not JSON") from None
    if not isinstance(header, dict):
        raise ProtocolError("the header is not a JSON object")
    length = cast("dict[str, Any]", header).get("body", 0)
    if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= MAXIMUM_BODY_BYTES:
        raise ProtocolError(f"body must be a whole number from 0 to {MAXIMUM_BODY_BYTES}")
    return cast("dict[str, Any]", header), length


async def read_message(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """Return the next header and body, or None where the peer closed between two messages.

    Raises ProtocolError for anything malformed and asyncio.IncompleteReadError where the peer closed inside a message.
    """
    try:
        prefix = await reader.readexactly(_LENGTH.size)
    except asyncio.IncompleteReadError as error:
        if error.partial == b"":
            return None
        raise
    (length,) = _LENGTH.unpack(prefix)
    if length > MAXIMUM_HEADER_BYTES:
        raise ProtocolError(f"a header of {length} bytes was announced; at most {MAXIMUM_HEADER_BYTES} are allowed")
    header, body_length = parse_header(await reader.readexactly(length))
    body = await reader.readexactly(body_length) if body_length else b""
    return header, body
