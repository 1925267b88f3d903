"""How commands speak: short lines for people on standard output, everything in full in a log file."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

Report = Callable[[str], None]


def say(text: str) -> None:
    """One line for the user."""
    click.echo(text)
    sys.stdout.flush()


def progress(text: str) -> None:
    """A line that the next one replaces on a terminal; elsewhere an ordinary line."""
    if sys.stdout.isatty():
        width = os.get_terminal_size().columns
        click.echo(f"\r\033[K{text[: width - 1]}", nl=False)
    else:
        click.echo(text)
    sys.stdout.flush()


def end_progress() -> None:
    """Let the next line start on a line of its own."""
    if sys.stdout.isatty():
        click.echo("\r\033[K", nl=False)


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
