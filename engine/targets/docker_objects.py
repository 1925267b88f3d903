"""The Docker objects that carry a fleet's label: what the state knows of them, and how the others go."""

import contextlib
from typing import Any

import docker
from docker.errors import APIError, NotFound

from engine.errors import UserFacingError
from engine.report import Report
from engine.stack_state import CONTAINER, NETWORK, VOLUME, StackState

FLEET_LABEL = "agent-fleet.fleet"
ROLE_LABEL = "agent-fleet.role"
_AT_WORK = ("running", "restarting", "paused")


class FleetObjects:
    """The Docker objects that carry a fleet's label."""

    def __init__(self, client: docker.DockerClient, fleet: str) -> None:
        """`fleet` is the label's value."""
        self._client = client
        self._filter: dict[str, str | list[str] | bool] = {"label": f"{FLEET_LABEL}={fleet}"}

    def containers(self) -> list[Any]:
        """All containers, also those that do not run."""
        return self._client.containers.list(all=True, filters=self._filter, ignore_removed=True)

    def networks(self) -> list[Any]:
        """All networks."""
        return self._client.networks.list(filters=self._filter)

    def volumes(self) -> list[Any]:
        """All volumes."""
        return self._client.volumes.list(filters=self._filter)

    def remove_container(self, container: Any) -> None:
        """Kill and remove it, whatever its state."""
        with contextlib.suppress(NotFound):
            try:
                container.remove(force=True, v=True)
            except APIError as error:
                if error.status_code != 409:  # being removed already
                    raise

    def remove_network(self, network: Any) -> None:
        """Take all containers off it and remove it."""
        with contextlib.suppress(NotFound):
            network.reload()
            for attached in network.attrs.get("Containers") or {}:
                with contextlib.suppress(APIError):
                    network.disconnect(attached, force=True)
            network.remove()

    def remove_volume(self, volume: Any) -> None:
        """Remove it; what still uses it must be gone."""
        with contextlib.suppress(NotFound):
            volume.remove(force=True)


def _foreign_running(objects: FleetObjects, state: StackState) -> list[str]:
    """The containers of a fleet that runs and that another checkout deployed.

    A run that was killed leaves a state behind, however little is in it; a checkout without one has deployed nothing.
    """
    if state.exists():
        return []
    return sorted(
        str(container.name)
        for container in objects.containers()
        if container.status in _AT_WORK and container.labels.get(ROLE_LABEL) != "sandbox"
    )


def refuse_foreign_fleet(objects: FleetObjects, state: StackState, fleet: str) -> None:
    """Refuse to take the place of a fleet of this name that runs and that another checkout deployed."""
    if running := _foreign_running(objects, state):
        raise UserFacingError(
            f"A fleet {fleet} runs here already, and this checkout did not deploy it: {', '.join(running)}.",
            "Choose another name (STACK=..., with its own settings file and port), or run `make down` in the checkout "
            f"that deployed it. If that is gone: `make down STACK={state.stack} FORCE=yes` here removes the fleet with "
            f"its jobs, and `docker rm -f {' '.join(running)}` its containers only, so that `make up` goes on with its "
            "jobs.",
        )


def refuse_foreign_removal(objects: FleetObjects, state: StackState, fleet: str) -> None:
    """Refuse to remove a fleet of this name that runs and that another checkout deployed: its jobs would go too."""
    if running := _foreign_running(objects, state):
        raise UserFacingError(
            f"A fleet {fleet} runs here, and this checkout did not deploy it: {', '.join(running)}. Nothing was "
            "removed.",
            "Run `make down` in the checkout that deployed it. If that is gone: "
            f"`make down STACK={state.stack} FORCE=yes` removes the fleet with its jobs.",
        )


def remove_orphans(objects: FleetObjects, state: StackState, report: Report) -> None:
    """Remove the fleet's Docker objects that its state does not know.

    A database's volume is kept: it may hold accepted jobs, and Docker gives a volume of that name to the next database
    as it is. Sandboxes are sandboxd's own, which removes those that it does not know; without it they are orphans.
    """
    known = state.identities(CONTAINER)
    containers = objects.containers()
    keeper = any(c.labels.get(ROLE_LABEL) == "sandboxd" and c.id in known and c.status == "running" for c in containers)
    for container in containers:
        if container.id in known or (keeper and container.labels.get(ROLE_LABEL) == "sandbox"):
            continue
        report(f"Removing the container {container.name}, which an interrupted run left.")
        objects.remove_container(container)
    networks = state.identities(NETWORK)
    for network in objects.networks():
        if network.id not in networks and network.name not in networks:
            report(f"Removing the network {network.name}, which an interrupted run left.")
            objects.remove_network(network)
    volumes = state.identities(VOLUME)
    for volume in objects.volumes():
        if volume.name in volumes:
            continue
        if (volume.attrs.get("Labels") or {}).get(ROLE_LABEL) == "workspace":
            # Tenants' own, made by sandboxd: they go with the fleet, when it is removed.
            continue
        if volume.name.endswith("-database"):
            report(f"The volume {volume.name} is there already: the database goes on with what it holds.")
        else:
            report(f"Removing the volume {volume.name}, which an interrupted run left.")
            objects.remove_volume(volume)


def drifted(objects: FleetObjects, state: StackState) -> bool:
    """Whether something in the state is gone from Docker or does not run, so that only a refresh shows it."""
    running = {container.id for container in objects.containers() if container.status in ("running", "restarting")}
    networks = {network.id for network in objects.networks()}
    volumes = {volume.name for volume in objects.volumes()}
    return not (
        state.identities(CONTAINER) <= running
        and state.identities(NETWORK) <= networks
        and state.identities(VOLUME) <= volumes
    )
