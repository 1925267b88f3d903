"""The program to run: its text, and its language by suffix or first line."""

import re
from pathlib import PurePosixPath

from agent_fleet_client.command.bounded_read import read_at_most
from agent_fleet_client.errors import FleetError, InvalidJobError
from agent_fleet_client.jobs import MAXIMUM_CODE_CHARACTERS

_SUFFIXES = {".py": "python", ".sh": "bash", ".bash": "bash", ".js": "node", ".cjs": "node"}
_INTERPRETERS = (
    (re.compile(r"python[0-9.]*"), "python"),
    (re.compile(r"bash|sh|dash"), "bash"),
    (re.compile(r"node|nodejs"), "node"),
)
_MOST_BYTES = MAXIMUM_CODE_CHARACTERS * 4


def read_program(file: str) -> str:
    """Return the text of a file, or of standard input for `-`; raises FleetError."""
    refusal = (
        f"has more than {MAXIMUM_CODE_CHARACTERS} characters, which is the limit. Send what is large with --file, "
        "and a short program that uses it"
    )
    data = read_at_most(file, _MOST_BYTES, field="code", refusal=refusal)
    try:
        # A mark of the byte order is no part of a program.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidJobError("code", f"is not UTF-8 text: byte {error.start} is wrong") from None


def language_of(file: str, code: str) -> str:
    """Return the language that a file's suffix or its first line (`#!`) says; raises FleetError where none does."""
    suffix = PurePosixPath(file).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    interpreter = _interpreter(code.partition("\n")[0])
    for pattern, language in _INTERPRETERS:
        if interpreter is not None and pattern.fullmatch(interpreter):
            return language
    name = "standard input" if file == "-" else file
    raise FleetError(
        f"The language of {name} is not clear: give --language python, bash or node (known are the suffixes "
        f"{', '.join(_SUFFIXES)} and first lines such as #!/usr/bin/env python3)."
    )


def _interpreter(line: str) -> str | None:
    """The program that a `#!` line names, also by way of `env`."""
    if not line.startswith("#!"):
        return None
    words = line[2:].split()
    names = [PurePosixPath(word).name for word in words if not word.startswith("-") and "=" not in word]
    if names[:1] == ["env"]:
        names = names[1:]
    return names[0] if names else None
