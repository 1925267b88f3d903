"""What `make status` and `make logs` say of what does not run."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from engine import docker_daemon
from engine.commands import logs, status
from engine.commands.session import Session
from engine.convergence import ROLE_LABEL
from engine.docker_daemon import Answer
from engine.errors import UserFacingError
from engine.paths import Paths


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """A daemon without anything."""
    made = Mock()
    made.containers.list.return_value = made.networks.list.return_value = made.volumes.list.return_value = []
    monkeypatch.setattr(docker_daemon, "connect", lambda: made)
    monkeypatch.setattr(docker_daemon, "situation", lambda: Mock(answer=Answer.RUNNING))
    return made


def _session(folder: Path, stack: str = "probe") -> Session:
    return Session(Paths(folder), stack, 0.0)


def test_a_container_that_has_exited_is_not_called_unhealthy(
    client: Mock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents a search for what is wrong inside a container that does not run at all."""
    exited = {"State": {"Status": "exited", "Health": {"Status": "unhealthy"}}, "RestartCount": 0}
    container = Mock(labels={ROLE_LABEL: "api"}, attrs=exited)
    container.name = "agent-fleet-probe-api"
    client.containers.list.return_value = [container]
    assert not status.status(_session(tmp_path))
    output = capsys.readouterr().out
    assert "exited" in output
    assert "unhealthy" not in output


@pytest.mark.parametrize(("stack", "command"), [("local", "make up"), ("probe", "make up STACK=probe")])
def test_the_command_that_deploys_names_the_stack(
    client: Mock, tmp_path: Path, capsys: pytest.CaptureFixture[str], stack: str, command: str
) -> None:
    """Prevents a user from deploying the default stack in place of the one that was asked for."""
    assert not status.status(_session(tmp_path, stack))
    assert capsys.readouterr().out == f"agent-fleet-{stack} is not up. `{command}` deploys it.\n"
    assert client.containers.list.called


def test_logs_of_nothing_are_an_error(client: Mock, tmp_path: Path) -> None:
    """Prevents scripts from taking an empty log for one without faults."""
    with pytest.raises(UserFacingError, match="agent-fleet-probe has no container of the role api"):
        logs.logs(_session(tmp_path), role="api", lines=1, follow=False)
    assert client.containers.list.called
