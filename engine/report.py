"""How commands speak: short lines for people on standard output, everything in full in a log file."""

import os
import sys
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
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
