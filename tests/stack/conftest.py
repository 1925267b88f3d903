"""One deployed fleet for all tests that only use it, and fleets of their own for those that break things."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from deployed_stack import DeployedStack, FirstUp, NewStack
from docker import DockerClient
from docker.errors import DockerException


@pytest.fixture(scope="session")
def daemon() -> Iterator[DockerClient]:
    """The Docker daemon; without one these tests are skipped."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException as error:
        pytest.skip(f"needs a Docker daemon: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def first_up(daemon: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstUp]:
    """A fleet that a real `make up` deployed; it is taken away at the end."""
    stack = DeployedStack(tmp_path_factory.mktemp("stack"), daemon)
    stack.write_settings()
    try:
        ended = stack.make("up")
        assert ended.code == 0, ended.output
        yield FirstUp(stack, ended)
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def stack(first_up: FirstUp) -> DeployedStack:
    """The shared fleet."""
    return first_up.stack


@pytest.fixture
def new_stack(daemon: DockerClient, tmp_path: Path) -> Iterator[NewStack]:
    """Make stacks that are not up yet; they are taken away after the test."""
    made: list[DeployedStack] = []

    def make() -> DeployedStack:
        stack = DeployedStack(tmp_path, daemon)
        stack.write_settings()
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.remove()
