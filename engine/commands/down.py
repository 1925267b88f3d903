"""`make down`: removes a stack and everything that it made, whatever state it is in."""

import contextlib
import shutil

import docker

from engine import configuration, convergence, docker_daemon
from engine.commands.session import Session
from engine.convergence import FleetObjects
from engine.docker_daemon import Answer
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.report import say
from images.base.ensure import TAG as BASE

_IMAGES = ("runtime", "sandbox", "postgres")


def down(session: Session, *, force: bool = False) -> None:
    """Destroy the stack, remove what carries its label, and forget its secrets. Nothing to do is fine too.

    `force` removes a running fleet too of which this checkout has no state.
    """
    with session.alone():
        client = _client(session)
        if client is not None and not force:
            convergence.refuse_foreign_removal(FleetObjects(client, session.fleet), session.state, session.fleet)
        convergence.end_abandoned_engine(session.paths.engine_process(session.stack), say)
        existed = session.state.exists()
        if existed:
            _destroy(session, client)
        removed = _remove_labelled(session, client) if client is not None else 0
        _forget(session)
        if client is not None and (existed or removed):
            _mention_images(client, session.fleet)
    say(f"{session.fleet} is down." if existed or removed else f"{session.fleet} was not up: nothing to remove.")


def _client(session: Session) -> docker.DockerClient | None:
    """Docker; None where there is none and the stack left nothing there."""
    if docker_daemon.situation().answer is Answer.RUNNING:
        return docker_daemon.connect()
    if any(resource["type"].startswith("docker:") for resource in session.state.resources()):
        raise UserFacingError(
            "Docker is not running, so the fleet's containers cannot be removed.",
            "Start it (systemctl start docker, or dockerd) and run `make down` again.",
        )
    return None


def _destroy(session: Session, client: docker.DockerClient | None) -> None:
    """Have the engine destroy the stack; where it cannot, do without it for what lives in Docker only."""
    state = session.state
    cli = session.engine() if state.resources() or not state.readable() else None
    try:
        if cli is not None and client is not None:
            tracked = session.paths.configuration(session.stack)
            if not tracked.exists():
                configuration.project(session.paths)
                tracked.write_text("config: {}\n")
            convergence.clear_locks(cli, state, say)
            convergence.clear_pending(cli, state, say)
            say(f"Destroying the stack {session.stack}.")
            refresh = convergence.drifted(FleetObjects(client, session.fleet), state)
            show = session.operate(cli, "destroy", "--yes", "--skip-preview", *(["--refresh"] if refresh else []))
            say(f"  {show.summary()}")
    except UserFacingError as error:
        if foreign := state.foreign_types():
            raise UserFacingError(
                f"The stack could not be destroyed: {error.message}\nIt holds {', '.join(sorted(foreign))}.",
                error.remedy,
            ) from error
        say(f"The engine could not destroy the stack ({error.message.splitlines()[0]}): removing its objects by label.")
    configuration.project(session.paths)
    if cli is None or cli.run("stack", "rm", "--yes", "--force").returncode:
        for path in session.state.checkpoint.parent.glob(f"{session.stack}.json*"):
            path.unlink(missing_ok=True)


def _remove_labelled(session: Session, client: docker.DockerClient) -> int:
    """Remove what the label finds: sandboxes, and whatever the engine did not know."""
    objects = FleetObjects(client, session.fleet)
    count = 0
    # sandboxd first: it would start new sandboxes.
    containers = sorted(objects.containers(), key=lambda c: c.labels.get(convergence.ROLE_LABEL) == "sandbox")
    for container in containers:
        objects.remove_container(container)
    for network in (networks := objects.networks()):
        objects.remove_network(network)
    for volume in (volumes := objects.volumes()):
        objects.remove_volume(volume)
    count = len(containers) + len(networks) + len(volumes)
    # A sandbox that was being made while sandboxd went.
    for container in objects.containers():
        objects.remove_container(container)
        count += 1
    return count


def _forget(session: Session) -> None:
    """Remove the stack's files with secrets; with the last stack, the state and its passphrase."""
    paths = session.paths
    for path in (paths.endpoint(session.stack), paths.configuration(session.stack)):
        path.unlink(missing_ok=True)
    with held(paths.stacks_lock):
        stacks = paths.state / ".pulumi" / "stacks"
        if any(path.name.endswith((".json", ".json.gz")) for path in stacks.glob("*/*")):
            return
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(paths.state)
        paths.passphrase.unlink(missing_ok=True)


def _mention_images(client: docker.DockerClient, fleet: str) -> None:
    """Images are a cache, and this fleet's may be what another run builds on: they stay, and the user is told."""
    wanted = (*(f"agent-fleet/{name}:{fleet}" for name in _IMAGES), BASE)
    tags = sorted(tag for image in client.images.list() for tag in image.tags if tag in wanted)
    if tags:
        say(f"The images stay, so that the next `make up` is quick. To remove them: docker image rm {' '.join(tags)}")
