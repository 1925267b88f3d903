"""How commands speak: short lines for people on standard output, everything in full in a log file."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

Report = Callable[[str], None]


def say(text: str) -> None:
    """One line for the user. When nobody reads any more (`make up | head`), the work goes on in silence."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def private_file(path: Path, text: str) -> None:
    """Write `text` so that only this user can read it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(part).replace(path)
