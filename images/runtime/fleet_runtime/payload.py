"""The bytes that carry one job from the API to the runner in the sandbox, untouched by everything in between.

A 4-byte big-endian length, a JSON manifest of that length, then the raw code, standard input and files in the
manifest's order. The runner (images/sandbox/runner.py) has a decoder of its own, because it runs without this package;
tests/sandbox holds the two against each other.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAIN_FILES: Mapping[str, str] = {"python": "main.py", "bash": "main.sh", "node": "main.js"}
"""The file that a job's code is written to, by language."""

PROGRAM = "program"
"""In place of a language: a program with its arguments, which the runner starts without a shell (agent_script.py)."""
PAYLOAD_FILES: Mapping[str, str] = {**MAIN_FILES, PROGRAM: "program.json"}
"""The same for all that a payload can hold."""

MAXIMUM_FILES = 1_000
MAXIMUM_FILE_BYTES = 16 * 1024 * 1024
"""Decoded bytes of all `files` of one job together."""

MAXIMUM_PART_BYTES = 255
MAXIMUM_PATH_BYTES = 1_024
"""What Linux takes for one name, and a quarter of what it takes for a path: any working directory fits before it."""

_LENGTH = struct.Struct(">I")


class PayloadError(ValueError):
    """The input cannot be a payload. The text says which part and why, in words that may be shown to the user."""


@dataclass(frozen=True)
class PathProblem:
    """One entry of `files` that is refused: its path as given, and the reason."""

    path: str
    message: str


@dataclass(frozen=True)
class Payload:
    """What `decode` gives back: the parts of one job."""

    language: str
    code: str
    stdin: bytes | None = None
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def path_problems(paths: Iterable[str], language: str | None = None) -> list[PathProblem]:
    """Return every rule of the job contract that these `files` paths break, in the order given; empty if none.

    With a language, the name of its main file (`main.py` and so on) is taken too, because the code is written there.
    """
    problems: list[PathProblem] = []
    given = list(paths)
    if len(given) > MAXIMUM_FILES:
        problems.append(PathProblem("", f"{len(given)} files were given; at most {MAXIMUM_FILES} are allowed"))
        return problems
    main = PAYLOAD_FILES.get(language) if language is not None else None
    files = set(given)
    if main is not None:
        files.add(main)
    for path in given:
        message = _shape_problem(path) or _clash(path, files, main)
        if message is not None:
            problems.append(PathProblem(path, message))
    return problems


def encode(language: str, code: str, stdin: bytes | None, files: Mapping[str, bytes]) -> bytes:
    """Return the payload of one job; the same input always gives the same bytes.

    Raises PayloadError if the language is unknown, a path breaks a rule, the files are too large, or the code is not
    valid Unicode or holds NUL.
    """
    if language not in PAYLOAD_FILES:
        raise PayloadError(f"language {language!r} is not known; known are {', '.join(PAYLOAD_FILES)}")
    for problem in path_problems(files, language):
        raise PayloadError(f"files: {problem.path!r}: {problem.message}")
    size = sum(map(len, files.values()))
    if size > MAXIMUM_FILE_BYTES:
        raise PayloadError(f"files: {size} bytes in all; at most {MAXIMUM_FILE_BYTES} are allowed")
    if "\0" in code:
        raise PayloadError("code: holds a NUL character, which no program text may")
    try:
        source = code.encode()
    except UnicodeEncodeError:
        raise PayloadError("code: holds a lone surrogate, which is not valid Unicode") from None
    manifest = {
        "language": language,
        "main": PAYLOAD_FILES[language],
        "code_bytes": len(source),
        "stdin_bytes": None if stdin is None else len(stdin),
        "files": [[path, len(content)] for path, content in files.items()],
    }
    header = json.dumps(manifest, ensure_ascii=True, separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(header)), header, source, stdin or b"", *files.values()])


def decode(data: bytes) -> Payload:
    """Return the parts of a payload; raises PayloadError for bytes that `encode` cannot have made."""
    try:
        (length,) = _LENGTH.unpack_from(data)
        manifest = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        language = manifest["language"]
        rest = memoryview(data)[_LENGTH.size + length :]
        sizes = [manifest["code_bytes"], manifest["stdin_bytes"] or 0, *(size for _, size in manifest["files"])]
        if any(not isinstance(size, int) or size < 0 for size in sizes) or sum(sizes) != len(rest):
            raise PayloadError("payload: the lengths in its manifest do not add up to its size")
        parts: list[bytes] = []
        for size in sizes:
            parts.append(bytes(rest[:size]))
            rest = rest[size:]
        files = {path: content for (path, _), content in zip(manifest["files"], parts[2:], strict=True)}
        if manifest["main"] != PAYLOAD_FILES.get(language) or len(files) != len(manifest["files"]):
            raise PayloadError("payload: its manifest names a wrong main file, or a path twice")
        for problem in path_problems(files, language):
            raise PayloadError(f"files: {problem.path!r}: {problem.message}")
        return Payload(language, parts[0].decode(), None if manifest["stdin_bytes"] is None else parts[1], files)
    except PayloadError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, struct.error) as error:
        raise PayloadError(f"payload: malformed ({type(error).__name__})") from None


def _shape_problem(path: str) -> str | None:
    """Say what is wrong with one path by itself."""
    if path == "":
        return "is empty; give a relative path such as data/input.txt"
    if "\0" in path:
        return "holds a NUL character"
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate, which is not valid Unicode"
    if path.startswith("/"):
        return "is absolute; give it relative to the job's working directory"
    if len(encoded) > MAXIMUM_PATH_BYTES:
        return f"is {len(encoded)} bytes long; at most {MAXIMUM_PATH_BYTES} are allowed"
    for part in path.split("/"):
        if part == "":
            return "has an empty part (a doubled or trailing slash)"
        if part in {".", ".."}:
            return f"has a part {part!r}; name every folder plainly"
        if len(part.encode()) > MAXIMUM_PART_BYTES:
            return f"has a part of {len(part.encode())} bytes; at most {MAXIMUM_PART_BYTES} are allowed"
    return None


def _clash(path: str, files: set[str], main: str | None) -> str | None:
    """Say whether a path is a file where another entry, or the job's own code, needs a folder or that name."""
    if path == main:
        return f"is where the job's code is written; the name {main} is taken"
    parts = path.split("/")
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth])
        if folder in files:
            return f"needs a folder {folder!r}, but that is a file"
    return None
