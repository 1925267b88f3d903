"""What tests ask of a running container."""

import threading
import time
from collections.abc import Callable
from typing import Any

from docker.models.containers import Container

Start = Callable[..., Container]
"""Starts a container from an image; a fixture."""


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Ask until `condition` gives something true, and return it; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        threading.Event().wait(0.05)
    return found


def state(container: Container) -> dict[str, Any]:
    """What Docker says of the container now."""
    container.reload()
    return container.attrs["State"]


def logs(container: Container) -> str:
    """Everything it has written."""
    return container.logs().decode(errors="replace")


def ended(container: Container, seconds: int = 60) -> tuple[int, str]:
    """Wait for the container's end; return its exit code and all it wrote."""
    return container.wait(timeout=seconds)["StatusCode"], logs(container)


def run_inside(container: Container, *command: str, **options: Any) -> tuple[int, str]:
    """Run a command in it; return its exit code and output."""
    code, output = container.exec_run(list(command), **options)
    return int(code or 0), b"".join(output if not isinstance(output, bytes) else [output]).decode(
        errors="replace"
    ).strip()
