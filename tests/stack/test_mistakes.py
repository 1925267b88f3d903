"""Mistakes of a newcomer on the command line: one message with its remedy, exit code 1, nothing changed."""

import socket
from collections.abc import Iterator

import pytest
import yaml
from deployed_stack import DeployedStack, NewStack


@pytest.fixture
def fresh(new_stack: NewStack) -> DeployedStack:
    """A stack that has never been up."""
    return new_stack()


@pytest.fixture
def taken_port(fresh: DeployedStack) -> Iterator[int]:
    """The stack's port, on which another program listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", fresh.port))
        listener.listen()
        yield fresh.port


def _refused(stack: DeployedStack, goal: str, *words: str) -> str:
    """Run a command that must be refused; return what it said."""
    ended = stack.make(goal)
    assert ended.code != 0, ended.output
    assert "Traceback" not in ended.output
    for word in words:
        assert word in ended.output
    assert stack.objects() == set()
    return ended.output


def test_a_port_in_use_is_said_before_anything_is_made(fresh: DeployedStack, taken_port: int) -> None:
    """The container would fail to start after everything else was built."""
    said = _refused(fresh, "up", str(taken_port), "fleet.api.port")
    assert not fresh.state_file.exists()
    assert said.count(str(taken_port)) == 1


def test_the_port_of_another_fleet_is_in_use_as_well(fresh: DeployedStack, stack: DeployedStack) -> None:
    """Two checkouts with the default port are the most usual case."""
    fresh.port = stack.port
    fresh.write_settings()
    _refused(fresh, "up", f"{stack.fleet}-api", "fleet.api.port")


@pytest.mark.parametrize(
    ("section", "given", "words"),
    [
        ("api", {"prot": 8081}, ("fleet.api.prot", "port")),
        ("api", {"port": 99999}, ("fleet.api.port", "99999")),
        ("workers", {"concurrency": 0}, ("fleet.workers.concurrency", "0")),
        ("workers", {"concurrency": "many"}, ("fleet.workers.concurrency", "many")),
        ("sandbox", {"warm": 9, "maximum": 4}, ("fleet.sandbox.warm", "9")),
        ("wrokers", {"count": 1}, ("fleet.wrokers", "workers")),
    ],
)
def test_a_wrong_setting_is_named_with_its_path(
    fresh: DeployedStack, section: str, given: dict[str, object], words: tuple[str, ...]
) -> None:
    """A deployment that fails half-way over a typing error is the most expensive way to find it."""
    fresh.write_settings(**{section: given})
    _refused(fresh, "up", *words)


def test_all_wrong_settings_are_said_at_once(fresh: DeployedStack) -> None:
    """One error a run makes five runs of five errors."""
    fresh.write_settings(api={"prot": 1}, workers={"concurrency": 0}, sandbox={"cpus": -1})
    _refused(fresh, "preview", "fleet.api.prot", "fleet.workers.concurrency", "fleet.sandbox.cpus")


def test_a_settings_file_that_is_not_yaml_is_named(fresh: DeployedStack) -> None:
    """The engine's own message does not say which file."""
    fresh.settings_file.write_text("config:\n  agent-fleet:fleet: [unclosed\n")
    _refused(fresh, "up", fresh.settings_file.name)


def test_an_architecture_that_is_not_there_yet_is_one_clear_error(fresh: DeployedStack) -> None:
    """A newcomer tries the names that the documents mention."""
    document = yaml.safe_load(fresh.settings_file.read_text())
    document["config"]["agent-fleet:fleet"]["architecture"] = "qeueu"
    fresh.settings_file.write_text(yaml.safe_dump(document))
    _refused(fresh, "up", "fleet.architecture", "queue")


def test_a_stack_without_settings_names_those_that_have_some(fresh: DeployedStack) -> None:
    """A mistyped STACK= is a new stack to the engine."""
    fresh.settings_file.unlink()
    _refused(fresh, "up", fresh.settings_file.name, "local")


def test_down_of_a_stack_that_is_not_up_is_no_error(fresh: DeployedStack) -> None:
    """Whoever cleans up to be sure must not be told off."""
    assert "nothing to remove" in fresh.succeed("down").output


def test_status_of_a_stack_that_is_not_up_says_so(fresh: DeployedStack) -> None:
    """An empty answer could mean anything."""
    ended = fresh.make("status")
    assert fresh.fleet in ended.output
    assert "Traceback" not in ended.output
