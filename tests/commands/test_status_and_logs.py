"""What `make status` and `make logs` say of a fleet on Docker, with real containers."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

from engine.commands import logs, status
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.paths import Paths
from engine.targets.docker_objects import FLEET_LABEL, ROLE_LABEL
from images.base.ensure import TAG as BASE


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    """The daemon, if there is one, with the image that these containers run."""
    try:
        made = docker.from_env()
        made.images.get(BASE)
    except ImageNotFound:
        pytest.skip(f"no image {BASE}: `make test` has it built")
    except DockerException as error:
        pytest.skip(f"no Docker daemon answers: {error}")
    return made


class _Stack:
    """A stack of its own, of which this checkout has no state."""

    def __init__(self, client: docker.DockerClient, folder: Path) -> None:
        self.name = f"probe-{uuid.uuid4().hex[:10]}"
        self.session = Session(Paths(folder), self.name, 0.0)
        self._client = client

    def run(self, role: str, script: str, **options: Any) -> Any:
        return self._client.containers.run(
            BASE,
            ["/bin/sh", "-c", script],
            name=f"{self.session.fleet}-{role}",
            labels={FLEET_LABEL: self.session.fleet, ROLE_LABEL: role},
            network_mode="none",
            detach=True,
            init=True,
            **options,
        )

    def remove(self) -> None:
        for container in self._client.containers.list(
            all=True, filters={"label": f"{FLEET_LABEL}={self.session.fleet}"}
        ):
            container.remove(force=True)


@pytest.fixture
def stack(client: docker.DockerClient, tmp_path: Path) -> Iterator[_Stack]:
    """A stack whose containers are removed at the end."""
    made = _Stack(client, tmp_path)
    yield made
    made.remove()


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.1)


def test_a_container_that_has_exited_is_not_called_unhealthy(stack: _Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """Prevents a search for what is wrong inside a container that does not run at all."""
    check = {"test": ["CMD", "/bin/false"], "interval": 200_000_000, "retries": 1}
    container = stack.run("api", "exec sleep 300", healthcheck=check)

    def unhealthy() -> bool:
        container.reload()
        return container.attrs["State"]["Health"]["Status"] == "unhealthy"

    _wait(unhealthy, "the container is unhealthy")
    assert not status.status(stack.session)
    assert f"{stack.session.fleet}-api" in (output := capsys.readouterr().out)
    assert "unhealthy, up 0 min" in output
    container.kill()
    container.wait()
    assert not status.status(stack.session)
    output = capsys.readouterr().out
    assert "exited" in output
    assert "unhealthy" not in output


@pytest.mark.parametrize(("stack_name", "argument"), [("local", ""), ("probe", " STACK=probe")])
def test_advice_names_the_stack_that_was_asked_for(tmp_path: Path, stack_name: str, argument: str) -> None:
    """Prevents a user from deploying the default stack in place of the one that was asked for."""
    assert Session(Paths(tmp_path), stack_name, 0.0).argument == argument


def test_a_stack_that_is_not_up_is_said_with_the_command_that_deploys_it(
    stack: _Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents an empty answer, which could mean anything."""
    assert not status.status(stack.session)
    assert capsys.readouterr().out == f"{stack.session.fleet} is not up. `make up STACK={stack.name}` deploys it.\n"


def test_each_line_of_a_log_begins_with_the_role_that_wrote_it(
    stack: _Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents lines of several containers that nobody can tell apart, and last lines without an end that get lost."""
    for role, words in (("api", "first\nsecond"), ("worker", "third"), ("sandbox", "hidden")):
        stack.run(role, f"printf '{words}'").wait()
    logs.logs(stack.session, role=None, lines=5, follow=True)
    lines = set(capsys.readouterr().out.splitlines())
    assert lines == {"api | first", "api | second", "worker | third"}
    logs.logs(stack.session, role="worker", lines=5, follow=False)
    assert capsys.readouterr().out == "worker | third\n"


def test_logs_of_nothing_are_an_error(stack: _Stack) -> None:
    """Prevents scripts from taking an empty log for one without faults."""
    with pytest.raises(UserFacingError, match=f"{stack.session.fleet} has no container of the role api"):
        logs.logs(stack.session, role="api", lines=1, follow=False)
