"""This machine's Docker as the place of a fleet."""

from pathlib import Path

from engine import docker_daemon
from engine.commands.session import Session
from engine.docker_daemon import Answer
from engine.errors import UserFacingError
from engine.images import ensure_base_image
from engine.pulumi_cli import PulumiCli
from engine.report import say
from engine.stack_state import StackState
from engine.targets.docker_place import DockerPlace
from engine.targets.target import Place, Purpose


class DockerHost:
    """Implements `target.Target` for `architecture: vm` with `target: docker`."""

    ready_seconds = 120.0

    def __init__(self, session: Session) -> None:
        """Nothing is asked yet."""
        self._session = session

    def reach(self) -> Place:
        """Docker, installed and started where that may be done."""
        client = docker_daemon.ensure_daemon(say, self._session.paths)
        return DockerPlace(client, self._session.stack, self._session.fleet, say)

    def occupy(self) -> None:
        """Nothing: what the state holds is looked for by its ids."""

    def find(self, state: StackState) -> Place | None:
        """Docker if it runs; None where it does not and the stack left nothing in it."""
        if docker_daemon.situation().answer is Answer.RUNNING:
            return DockerPlace(docker_daemon.connect(), self._session.stack, self._session.fleet, say)
        if state.holds("docker"):
            raise UserFacingError(
                "Docker is not running, so the fleet's containers cannot be reached.",
                "Start it (systemctl start docker, or dockerd; `make up` as root does) and run the command again.",
            )
        return None

    def absent(self) -> str:
        """Said where there is no Docker."""
        return "Docker is not running. `make up` as root starts it."

    def forsake(self, state: StackState) -> str:
        """A host's containers are never given up: Docker can be started."""
        del state
        raise UserFacingError(
            "Docker is not running, so the fleet's containers cannot be removed.",
            "Start it (systemctl start docker, or dockerd) and run `make down` again.",
        )

    def prepare_images(self, place: Place) -> None:
        """The base that every image here is built from."""
        del place
        ensure_base_image(say)

    def engine(self, purpose: Purpose, state: Path | None = None) -> PulumiCli:
        """The same plugins for everything: they really do the work."""
        del purpose
        return self._session.engine("fleet", state=state)
