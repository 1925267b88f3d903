"""`make logs`: the logs of all the fleet's containers, each line with the role that wrote it."""

import os
import sys
import threading
from typing import Any

import click

from engine import docker_daemon
from engine.commands.session import Session
from engine.convergence import ROLE_LABEL, FleetObjects
from engine.errors import UserFacingError


def logs(session: Session, *, role: str | None, lines: int, follow: bool) -> None:
    """Print the last `lines` of each container and, when asked, go on until Ctrl-C or until all have ended."""
    objects = FleetObjects(docker_daemon.connect(), session.fleet)
    containers = [
        container
        for container in objects.containers()
        if container.labels.get(ROLE_LABEL) != "sandbox" and role in (None, "", container.labels.get(ROLE_LABEL))
    ]
    if not containers:
        which = f" of the role {role}" if role else ""
        stack = "" if session.stack == "local" else f" STACK={session.stack}"
        raise UserFacingError(f"{session.fleet} has no container{which}.", f"`make status{stack}` shows what it has.")
    lock = threading.Lock()

    def show(prefix: str, lines: list[bytes]) -> None:
        with lock:
            for line in lines:
                try:
                    click.echo(f"{prefix} | {line.decode(errors='replace')}")
                    sys.stdout.flush()
                except BrokenPipeError:
                    os._exit(0)  # the reader has seen enough (`make logs | head`)

    def read(container: Any) -> None:
        prefix = container.name.removeprefix(f"{session.fleet}-")
        rest = b""
        for chunk in container.logs(stream=True, follow=follow, tail=lines, timestamps=False):
            *whole, rest = (rest + chunk).split(b"\n")
            show(prefix, whole)
        show(prefix, [rest] if rest else [])

    readers = [threading.Thread(target=read, args=(container,), daemon=True) for container in containers]
    for reader in readers:
        reader.start()
    for reader in readers:
        # With a time limit in a loop, so that Ctrl-C is heard.
        while reader.is_alive():
            reader.join(0.5)
