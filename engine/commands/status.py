"""`make status`: what runs, whether it is ready, and where."""

import json
from datetime import UTC, datetime
from typing import Any

from engine import docker_daemon, first_job
from engine.commands.session import Session
from engine.convergence import ROLE_LABEL, FleetObjects
from engine.docker_daemon import Answer
from engine.report import say


def status(session: Session) -> bool:
    """Print the stack's state; return whether it is up and ready."""
    endpoint = session.paths.endpoint(session.stack)
    if docker_daemon.situation().answer is not Answer.RUNNING:
        say("Docker is not running. `make up` as root starts it.")
        return False
    objects = FleetObjects(docker_daemon.connect(), session.fleet)
    containers = objects.containers()
    if not containers and not session.state.exists():
        say(f"{session.fleet} is not up. `{_up(session)}` deploys it.")
        return False
    ready = False
    if endpoint.exists():
        url = json.loads(endpoint.read_text())["url"]
        found = first_job.readiness(url)
        ready = found.ready
        say(f"{session.fleet}: {url}, {'ready' if ready else f'not ready: {found.reasons}'}")
    else:
        say(f"{session.fleet} was never ready; `{_up(session)}` goes on where it stopped.")
    own = [container for container in containers if container.labels.get(ROLE_LABEL) != "sandbox"]
    for container in sorted(own, key=lambda item: item.name):
        say(f"  {container.name:<32} {_condition(container)}")
    sandboxes = len(containers) - len(own)
    say(f"  {sandboxes} sandboxes, {len(objects.networks())} networks, {len(objects.volumes())} volumes")
    return ready


def _up(session: Session) -> str:
    return "make up" if session.stack == "local" else f"make up STACK={session.stack}"


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
