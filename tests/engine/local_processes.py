"""Starts the processes that a test talks to, and ends them."""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from stack_program import wait_until


def start(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it writes goes to a file of its name in `folder`."""
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        return subprocess.Popen(
            list(command),
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ready(process: subprocess.Popen[bytes], holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until a started program serves; fails at once when it has ended."""

    def serves() -> bool:
        assert process.poll() is None, f"{what} ended with code {process.returncode}"
        return holds()

    wait_until(serves, seconds, what)


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End a program that `start` started, and everything that it started."""
    if process.poll() is None:
        os.killpg(process.pid, number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(15)
