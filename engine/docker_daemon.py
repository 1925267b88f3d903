"""A Docker daemon for the fleet: the running one, else one that is installed and started after saying so."""

import os
import platform
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from engine import docker_install
from engine.docker_endpoint import DEFAULT, endpoint
from engine.errors import UserFacingError
from engine.paths import Paths
from engine.report import Report

API_MINIMUM = (1, 41)  # Docker 20.10: cgroup namespaces, BuildKit secrets without a frontend image
START_SECONDS = 60.0
_DOCUMENTED = "https://docs.docker.com/engine/install/"


class Answer(Enum):
    """What the daemon's socket does."""

    RUNNING = auto()
    ABSENT = auto()
    DENIED = auto()


class Action(Enum):
    """What to do about it."""

    USE = auto()
    START = auto()
    INSTALL = auto()


@dataclass(frozen=True)
class Situation:
    """All that the decision depends on."""

    endpoint: str
    answer: Answer
    is_root: bool
    debian: bool
    dockerd_installed: bool


def decide(situation: Situation) -> Action:
    """Use, start, or install and start; or a UserFacingError with what the user does."""
    if situation.answer is Answer.RUNNING:
        return Action.USE
    if situation.answer is Answer.DENIED:
        raise UserFacingError(
            f"Docker is running, but this user may not use it ({situation.endpoint}).",
            "Add it to the group docker (sudo usermod -aG docker $USER), log in again, and run the command again.",
        )
    if situation.endpoint != DEFAULT:
        raise UserFacingError(
            f"No Docker daemon answers at {situation.endpoint}, which DOCKER_HOST or the current Docker context names.",
            "Start it, or unset DOCKER_HOST and choose the context `default` to use this machine's own.",
        )
    if situation.is_root and situation.dockerd_installed:
        return Action.START
    if situation.is_root and situation.debian:
        return Action.INSTALL
    if situation.dockerd_installed:
        raise UserFacingError(
            "Docker is installed, but its daemon is not running.",
            "Start it (sudo systemctl start docker), or run the command as root, which starts it.",
        )
    if situation.debian:
        remedy = (
            "Run the command as root, which installs Debian's docker.io, or install it: sudo apt-get install docker.io"
        )
    else:
        remedy = f"Install Docker 20.10 or newer and start it: {_DOCUMENTED}"
    raise UserFacingError("There is no Docker daemon on this machine.", remedy)


def _ask(address: str) -> Answer:
    path = Path(address.removeprefix("unix://"))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(path))
        except PermissionError:
            return Answer.DENIED
        except OSError:
            return Answer.ABSENT
    return Answer.RUNNING


def is_debian() -> bool:
    """Whether packages come from apt-get: Debian, Ubuntu and their like."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return "debian" in f"{release.get('ID', '')} {release.get('ID_LIKE', '')}" and bool(shutil.which("apt-get"))


def situation() -> Situation:
    """What is found on this machine."""
    address = endpoint()
    if not address.startswith("unix://"):
        raise UserFacingError(
            f"DOCKER_HOST or the current Docker context names {address}, a daemon on another machine.",
            "A local fleet runs on this machine's own daemon: unset DOCKER_HOST, or choose the context `default`.",
        )
    return Situation(
        endpoint=address,
        answer=_ask(address),
        is_root=os.geteuid() == 0,
        debian=is_debian(),
        dockerd_installed=shutil.which("dockerd") is not None,
    )


def check_version(version: dict[str, Any]) -> None:
    """Refuse a daemon that lacks what the fleet needs. `version` is the answer of Docker's /version."""
    given = str(version.get("ApiVersion", "0.0"))
    major, minor = (int(part) for part in given.split(".")[:2])
    if (major, minor) < API_MINIMUM:
        raise UserFacingError(
            f"This Docker is too old: version {version.get('Version', 'unknown')} speaks API {given}; the fleet needs "
            f"API {'.'.join(map(str, API_MINIMUM))} (Docker 20.10) or newer.",
            f"Update it: {_DOCUMENTED}",
        )
    if version.get("Os", "linux") != "linux":
        raise UserFacingError(
            f"This Docker runs {version['Os']} containers; the fleet's are Linux containers.",
            "Switch Docker Desktop to Linux containers.",
        )


def check_space(root: Path, needed_bytes: int, free_bytes: Callable[[Path], int] | None = None) -> None:
    """Refuse a Docker whose disk is nearly full, before anything is built into it."""
    if not root.exists():
        return  # the daemon's disk is in a machine of its own (Docker Desktop)
    free = free_bytes(root) if free_bytes else shutil.disk_usage(root).free
    if free < needed_bytes:
        raise UserFacingError(
            f"Docker's disk is nearly full: {free / 1024**3:.1f} GB free under {root}; this needs "
            f"{needed_bytes / 1024**3:.1f} GB.",
            "Free space there (docker system df shows what takes it; docker builder prune and docker image prune give "
            "much of it back), and run the command again.",
        )


def connect(timeout_seconds: int = 60) -> docker.DockerClient:
    """A client of the daemon that the user means."""
    address = endpoint()
    try:
        return docker.DockerClient(base_url=address, timeout=timeout_seconds)
    except DockerException as error:
        raise UserFacingError(
            f"Docker does not answer at {address}: {error}",
            "Start it and run the command again; `make up` as root starts it.",
        ) from error


def ensure_daemon(report: Report, paths: Paths | None = None) -> docker.DockerClient:
    """A client of a daemon that is fit for the fleet; installs and starts one where it may."""
    paths = paths or Paths()
    found = situation()
    action = decide(found)
    if action is Action.INSTALL:
        docker_install.install(report, paths.logs / "docker-install.log")
    if action is not Action.USE:
        docker_install.start(
            report, paths.logs / "dockerd.log", lambda: _ask(found.endpoint) is Answer.RUNNING, START_SECONDS
        )
    client = connect()
    check_version(client.version())
    if "name=rootless" in client.info().get("SecurityOptions", []):
        raise UserFacingError(
            "This Docker is rootless: it cannot enforce the limits that sandboxes rely on.",
            "Use a daemon that runs as root (docker context use default).",
        )
    return client
