"""A payload as whoever reaches a runner past the API may write it."""

import json
import struct

NO_PATHS = (
    *("", "/x", "/etc/x", "/proc/1/fd/1", "..", "../x", "a/../../x", "./x", ".", "a//b", "a/"),
    *("main.py", "main.py/x", "x\0y", "n" * 256),
)
"""None of these may be written to."""


def payload_with(path: str, code: bytes = b"", content: bytes = b"x") -> bytes:
    """A Python job with one file, whatever its path."""
    manifest = {"language": "python", "main": "main.py", "code_bytes": len(code), "stdin_bytes": None}
    header = json.dumps({**manifest, "files": [[path, len(content)]]}).encode()
    return struct.pack(">I", len(header)) + header + code + content
