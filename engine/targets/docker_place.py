"""A fleet on this machine's Docker, whose daemon answers."""

import os
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import docker

from engine import credentials_check, docker_daemon, port_check
from engine.docker_endpoint import endpoint
from engine.errors import UserFacingError
from engine.report import Report
from engine.stack_state import StackState
from engine.targets import docker_objects
from engine.targets.docker_objects import ROLE_LABEL, FleetObjects
from engine.targets.target import Entrance, LogSelection
from images.base.ensure import TAG as BASE

FIRST_BYTES = 5 * 1024**3  # the base, three images and the layers of their builds
LATER_BYTES = 1024**3
_IMAGES = ("runtime", "sandbox", "postgres", "redis")


def check_space(client: docker.DockerClient) -> None:
    """Refuse a Docker whose disk has no room for what is built."""
    root = Path(client.info().get("DockerRootDir") or "/nowhere")
    built = client.images.list(name="agent-fleet/runtime")
    docker_daemon.check_space(root, LATER_BYTES if built else FIRST_BYTES)


class DockerPlace:
    """One fleet's place on one Docker host; implements `target.Place`."""

    def __init__(self, client: docker.DockerClient, stack: str, fleet: str, report: Report) -> None:
        """What is removed on the way is told to `report`."""
        self._client = client
        self._stack = stack
        self._fleet = fleet
        self._report = report
        self._objects = FleetObjects(client, fleet)

    @property
    def packages(self) -> frozenset[str]:
        """Docker's objects carry the label."""
        return frozenset({"docker"})

    def refuse_foreign_fleet(self, state: StackState) -> None:
        """Refuse to take the place of a fleet of this name that another checkout deployed."""
        docker_objects.refuse_foreign_fleet(self._objects, state, self._fleet)

    def refuse_foreign_removal(self, state: StackState) -> None:
        """Refuse to remove a fleet of this name that another checkout deployed."""
        docker_objects.refuse_foreign_removal(self._objects, state, self._fleet)

    def check_before(self, settings: Mapping[str, Any]) -> None:
        """Refuse a port that is taken, credentials that are not there, and a disk without room."""
        if (wanted := port_check.wanted(settings)) is not None:
            port_check.check(*wanted, self._fleet, self._client)
        credentials_check.check(settings, endpoint(), self._report)
        check_space(self._client)

    def remove_orphans(self, state: StackState) -> None:
        """Remove what an interrupted run made and the state does not know."""
        docker_objects.remove_orphans(self._objects, state, self._report)

    def drifted(self, state: StackState) -> bool:
        """Whether something in the state is gone or does not run."""
        return docker_objects.drifted(self._objects, state)

    def remove_all(self) -> int:
        """Remove what the label finds: sandboxes, and whatever the engine did not know."""
        objects = self._objects
        # sandboxd first: it would start new sandboxes.
        containers = sorted(objects.containers(), key=lambda c: c.labels.get(ROLE_LABEL) == "sandbox")
        for container in containers:
            objects.remove_container(container)
        for network in (networks := objects.networks()):
            objects.remove_network(network)
        # A sandbox that was being made while sandboxd went: it may have a workspace's volume.
        for container in (late := objects.containers()):
            objects.remove_container(container)
        for volume in (volumes := objects.volumes()):
            objects.remove_volume(volume)
        return len(containers) + len(networks) + len(volumes) + len(late)

    def what_stays(self) -> str:
        """Images are a cache, and this fleet's may be what another run builds on: they stay."""
        wanted = (*(f"agent-fleet/{name}:{self._fleet}" for name in _IMAGES), BASE)
        # One request: `images.list` asks for each image once more, and somebody may remove one meanwhile.
        tags = sorted(tag for image in self._client.api.images() for tag in image["RepoTags"] or () if tag in wanted)
        if not tags:
            return ""
        return f"The images stay, so that the next `make up` is quick. To remove them: docker image rm {' '.join(tags)}"

    @contextmanager
    def entrance(self, outputs: Mapping[str, Any]) -> Generator[Entrance]:
        """The port that the stack publishes on this machine."""
        try:
            url = str(outputs["url"]).rstrip("/")
        except KeyError as error:
            raise UserFacingError(
                f"The stack has no output {error}: it is not a fleet with an API.",
                "`make up` deploys fleets as architectures/ composes them.",
            ) from error
        yield Entrance(url)

    def troubles(self) -> str:
        """Containers that do not run."""
        ended = [each for each in self._own() if each.status not in ("running", "created")]
        return "\n".join(f"{each.name}: {_condition(each)}" for each in ended)

    def anything(self) -> bool:
        """Whether there is a container of the fleet."""
        return bool(self._objects.containers())

    def _own(self) -> list[Any]:
        return [each for each in self._objects.containers() if each.labels.get(ROLE_LABEL) != "sandbox"]

    def condition(self) -> list[str]:
        """A line for each container that is no sandbox, and the number of the rest."""
        own = self._own()
        sandboxes = len(self._objects.containers()) - len(own)
        networks, volumes = len(self._objects.networks()), len(self._objects.volumes())
        return [
            *(f"  {container.name:<32} {_condition(container)}" for container in sorted(own, key=lambda c: c.name)),
            f"  {sandboxes} sandboxes, {networks} networks, {volumes} volumes",
        ]

    def logs(self, selection: LogSelection) -> None:
        """Print each container's logs, a line with the role that wrote it."""
        if selection.team:
            raise UserFacingError("TEAM is for fleets in a cluster; one on Docker has no pools.", "Leave TEAM out.")
        containers = [each for each in self._own() if selection.role in ("", each.labels.get(ROLE_LABEL))]
        if not containers:
            which = f" of the role {selection.role}" if selection.role else ""
            stack = "" if self._stack == "local" else f" STACK={self._stack}"
            raise UserFacingError(f"{self._fleet} has no container{which}.", f"`make status{stack}` shows what it has.")
        lock = threading.Lock()
        readers = [
            threading.Thread(target=_read, args=(container, self._fleet, selection, lock), daemon=True)
            for container in containers
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            # With a time limit in a loop, so that Ctrl-C is heard.
            while reader.is_alive():
                reader.join(0.5)


def _read(container: Any, fleet: str, selection: LogSelection, lock: threading.Lock) -> None:
    prefix = container.name.removeprefix(f"{fleet}-")
    rest = b""
    for chunk in container.logs(stream=True, follow=selection.follow, tail=selection.lines, timestamps=False):
        *whole, rest = (rest + chunk).split(b"\n")
        _show(prefix, whole, lock)
    _show(prefix, [rest] if rest else [], lock)


def _show(prefix: str, lines: list[bytes], lock: threading.Lock) -> None:
    with lock:
        for line in lines:
            try:
                click.echo(f"{prefix} | {line.decode(errors='replace')}")
                sys.stdout.flush()
            except BrokenPipeError:
                os._exit(0)  # the reader has seen enough (`make logs | head`)


def _condition(container: Any) -> str:
    state = container.attrs["State"]
    words = state["Status"]
    if words == "running":
        # Docker keeps the last health of a container that has ended.
        words = state.get("Health", {}).get("Status") or words
        begun = datetime.fromisoformat(state["StartedAt"][:19]).replace(tzinfo=UTC)
        minutes = int((datetime.now(UTC) - begun).total_seconds() // 60)
        since = (
            f"{minutes // 1440} d" if minutes >= 2880 else f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min"
        )
        words += f", up {since}"
    if restarts := container.attrs.get("RestartCount"):
        words += f", {restarts} restarts"
    return words
