"""Puts right what an ended run left, so that any run can follow any other: locks, unfinished operations, orphans."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from engine.errors import UserFacingError
from engine.pulumi_cli import PulumiCli
from engine.report import Report
from engine.stack_state import CONTAINER, NETWORK, VOLUME, StackState

FLEET_LABEL = "agent-fleet.fleet"
ROLE_LABEL = "agent-fleet.role"
_STOP_SECONDS = 30.0
_AT_WORK = ("running", "restarting", "paused")


def alive(process: int) -> bool:
    """Whether a process with this id runs and is no zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        if Path("/proc/self").exists():
            return False
    else:
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _is_engine(process: int) -> bool:
    with contextlib.suppress(OSError):
        return "pulumi" in Path(f"/proc/{process}/comm").read_text()
    return not Path("/proc/self").exists()


def end_abandoned_engine(pid_file: Path, report: Report) -> None:
    """End the engine of a run that was killed. The caller holds the stack's lock, so no living run owns it."""
    try:
        process = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    if process > 0 and alive(process) and _is_engine(process):
        report("A run before this one was killed and its engine still works: ending it.")
        for how in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, how)
            deadline = time.monotonic() + _STOP_SECONDS
            while alive(process) and time.monotonic() < deadline:
                time.sleep(0.1)
            if not alive(process):
                break
    pid_file.unlink(missing_ok=True)


def mend_checkpoint(state: StackState, report: Report) -> bool:
    """Replace a damaged checkpoint by the one before, so that nothing looks like an orphan. Return whether it did."""
    if not state.exists() or state.readable():
        return False
    if not state.restore():
        raise UserFacingError(
            f"The state of the stack {state.stack} is damaged: neither {state.checkpoint} nor its backup is whole.",
            "Put a good copy back (.fleet/state/.pulumi/history has one for each run), or give the stack up with "
            "`make down`.",
        )
    report("The state was damaged (a full disk, or a crash while it was written): going on from the one before.")
    return True


def clear_locks(cli: PulumiCli, state: StackState, report: Report) -> bool:
    """Remove locks whose holders are gone. Return whether there were any."""
    locks = state.locks()
    for lock in locks:
        if lock.host == socket.gethostname() and alive(lock.process) and _is_engine(lock.process):
            raise UserFacingError(
                f"Another pulumi (process {lock.process}) is changing the stack {state.stack}.",
                "Let it end, or stop it, and run the command again.",
            )
    if not locks:
        return False
    report("The run before this one did not end in good order: clearing its lock.")
    cli.run("cancel", "--yes")
    for lock in state.locks():
        lock.path.unlink(missing_ok=True)
    return True


def clear_pending(cli: PulumiCli, state: StackState, report: Report) -> bool:
    """Forget operations that had only begun; what they made is found by its label. Return whether there were any."""
    pending = state.pending()
    if not pending:
        return False
    names = ", ".join(sorted(operation["resource"]["urn"].rpartition("::")[2] for operation in pending))
    report(f"Interrupted before it was done: {names}. Clearing that up.")
    document = json.loads(cli.checked("stack", "export"))
    document["deployment"]["pending_operations"] = []
    cli.checked("stack", "import", given=json.dumps(document))
    return True


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
