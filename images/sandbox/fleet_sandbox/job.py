"""One job as the runner receives it (fleet_runtime/payload.py is the other side), and its files."""

import os
import struct

from fleet_sandbox import plain_json
from fleet_sandbox.first import MAIN_FILES

LENGTH = struct.Struct(">I")


class JobError(Exception):
    """The payload cannot be run; nothing of it has."""


class Job:
    """The decoded payload."""

    def __init__(self, payload: memoryview) -> None:
        """Check every length and path again: this side trusts no other."""
        try:
            (length,) = LENGTH.unpack_from(payload)
            manifest = plain_json.loads(str(payload[LENGTH.size : LENGTH.size + length], "utf-8"))
            self.language = str(manifest["language"])
            stdin_bytes = manifest["stdin_bytes"]
            sizes = [manifest["code_bytes"], stdin_bytes or 0, *(size for _, size in manifest["files"])]
            rest = payload[LENGTH.size + length :]
            if manifest["main"] != MAIN_FILES.get(self.language) or min(sizes) < 0 or sum(sizes) != len(rest):
                raise JobError("the payload's manifest does not fit its content")
            parts: list[memoryview] = []
            for size in sizes:
                parts.append(rest[:size])
                rest = rest[size:]
            self.main = MAIN_FILES[self.language]
            self.stdin = None if stdin_bytes is None else parts[1]
            self.files = [(self.main, parts[0])]
            self.files += [(checked(path), part) for (path, _), part in zip(manifest["files"], parts[2:], strict=True)]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, struct.error) as error:
            raise JobError(f"the payload is malformed ({type(error).__name__})") from None

    def write(self) -> None:
        """Create the files in the working directory, which is empty and which no other process can reach yet."""
        made: set[str] = set()
        for path, content in self.files:
            for end, letter in enumerate(path):
                if letter == "/" and path[:end] not in made:
                    made.add(path[:end])
                    os.mkdir(path[:end], 0o755)  # noqa: PTH102 - pathlib is not loaded in the warm interpreter
            mode = 0o755 if bytes(content[:2]) == b"#!" else 0o644
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            try:
                while content:
                    content = content[os.write(target, content) :]
            finally:
                os.close(target)


def checked(path: str) -> str:
    """Return a path that stays below the working directory; raises JobError for any other."""
    if not path or "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise JobError(f"the path {path!r} leaves the working directory or is not plain")
    return path
