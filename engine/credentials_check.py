"""Whether the files that agents' sandboxes are to have are there, asked before anything is changed."""

import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserFacingError
from engine.report import Report

# As images/runtime/fleet_runtime/sandboxd/posture.py has it; a test holds the two together.
SANDBOX_USER = 10001


def check(fleet_settings: Mapping[str, Any], endpoint: str, report: Report) -> None:
    """Refuse a file that is not there, and say of one that sandboxes will hardly be able to read how to mend it.

    Only where Docker's `endpoint` is on this machine: the files are those of Docker's host.
    """
    if not endpoint.startswith("unix://"):
        return
    for key, path in _files(fleet_settings):
        try:
            found = path.stat()
        except PermissionError:
            # In a folder that is closed to this user, and not to Docker.
            continue
        except OSError as error:
            raise UserFacingError(
                f"{key}: {path} cannot be mounted: {(error.strerror or 'unreadable').lower()}.",
                "Put the file there, or remove the key.",
            ) from error
        if not stat.S_ISREG(found.st_mode):
            raise UserFacingError(f"{key}: {path} is no file.", "Name the file with the credentials itself.")
        # Elsewhere Docker is in a machine of its own, which gives files other owners.
        if sys.platform == "linux" and not _readable(found.st_mode, found.st_uid, found.st_gid):
            report(
                f"{key}: {path} has mode {stat.S_IMODE(found.st_mode):04o} and belongs to {found.st_uid}:"
                f"{found.st_gid}; in a sandbox it is read by user {SANDBOX_USER}: chown {SANDBOX_USER} and chmod 0400."
            )


def _readable(mode: int, owner: int, group: int) -> bool:
    """Say whether the sandboxes' user may read it; access lists beyond these modes are not looked at."""
    if owner == SANDBOX_USER:
        return bool(mode & stat.S_IRUSR)
    return bool(mode & (stat.S_IRGRP if group == SANDBOX_USER else stat.S_IROTH))


def _files(fleet_settings: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    agents: Any = fleet_settings.get("agents")
    for name, agent in agents.items() if isinstance(agents, Mapping) else ():  # pyright: ignore[reportUnknownVariableType]
        given: Any = agent.get("credentials") if isinstance(agent, Mapping) else None  # pyright: ignore[reportUnknownVariableType]
        if isinstance(given, str):
            yield f"fleet.agents.{name}.credentials", Path(given)
