"""What the command says beside a job's own output: on standard error, and progress only where a person watches."""

import os
import sys
from typing import BinaryIO


class Speech:
    """Notes and progress. Quiet, only failures are said."""

    def __init__(self, *, quiet: bool) -> None:
        """`quiet` leaves out notes and progress."""
        self._quiet = quiet
        self.shows_progress = not quiet and sys.stderr.isatty()
        self._line_shown = False

    def progress(self, text: str) -> None:
        """Show a line in place of the one before, where standard error is a terminal."""
        if self.shows_progress:
            width = _columns() - 1
            sys.stderr.write(f"\r\x1b[K{_plain(text)[:width]}")
            sys.stderr.flush()
            self._line_shown = True

    def clear(self) -> None:
        """Take the line of progress away."""
        if self._line_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._line_shown = False

    def note(self, text: str) -> None:
        """Say a line that may matter."""
        if not self._quiet:
            self.fail(text)

    def fail(self, text: str) -> None:
        """Say why something cannot be, quiet or not."""
        self.clear()
        sys.stderr.write(f"fleet: {_plain(text)}\n")
        sys.stderr.flush()


def write(stream: BinaryIO, data: bytes) -> None:
    """Write bytes as they are, at once."""
    stream.write(data)
    stream.flush()


def silence_output() -> None:
    """Have nothing written any more: who read it has gone, and the interpreter would complain of that at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _columns() -> int:
    try:
        return max(os.get_terminal_size(sys.stderr.fileno()).columns, 20)
    except OSError:
        return 80


def _plain(text: str) -> str:
    """One line without control characters: what others wrote is quoted here, and goes to a terminal."""
    words = " ".join(text.split())
    return "".join(character if character.isprintable() else "\ufffd" for character in words)
