"""The project's images, built as the provider builds them, and containers that are always removed."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from containers import Start
from docker import DockerClient
from docker.errors import DockerException, NotFound
from docker.models.containers import Container
from image_builds import CHECKOUT, NAMES, build

from images.base.ensure import TAG, ensure_base


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
def run_name() -> str:
    """A name that no other run uses, for everything that Docker keeps by name."""
    return f"agent-fleet-test-{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def built(daemon: DockerClient, run_name: str) -> Iterator[dict[str, str]]:
    """The image IDs of the base, the runtime, the sandbox, PostgreSQL and Redis, by name."""
    ensure_base(lambda _: None)
    images = {"base": str(daemon.images.get(TAG).id)}
    tags = {name: f"{run_name}/{name}:1" for name in NAMES}
    try:
        for name, tag in tags.items():
            images[name] = build(CHECKOUT / "images" / name, tag)
        yield images
    finally:
        for tag in tags.values():
            with contextlib.suppress(NotFound):
                daemon.images.remove(tag)


@pytest.fixture(scope="session")
def mcp_proxy(daemon: DockerClient, run_name: str) -> Iterator[str]:
    """The ID of the MCP proxy's image, which no fleet is built of."""
    ensure_base(lambda _: None)
    tag = f"{run_name}/mcp-proxy:1"
    try:
        yield build(CHECKOUT / "images" / "mcp-proxy", tag)
    finally:
        with contextlib.suppress(NotFound):
            daemon.images.remove(tag)


@pytest.fixture
def volume(daemon: DockerClient, run_name: str) -> Iterator[str]:
    """The name of an empty named volume."""
    name = f"{run_name}-{uuid.uuid4().hex[:6]}"
    daemon.volumes.create(name)
    yield name
    for container in daemon.containers.list(all=True, filters={"volume": name}):
        container.remove(force=True)
    daemon.volumes.get(name).remove(force=True)


@pytest.fixture
def start(daemon: DockerClient, run_name: str) -> Iterator[Start]:
    """Start a container under the fleet's posture; it is removed after the test."""
    started: list[Container] = []

    def start_container(image: str, command: list[str] | None = None, **options: Any) -> Container:
        posture: dict[str, Any] = {
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": 200,
            "mem_limit": "512m",
            "network_mode": "none",
            "tmpfs": {"/tmp": ""},
        }
        name = f"{run_name}-{uuid.uuid4().hex[:6]}"
        container = daemon.containers.create(image, command, name=name, **{**posture, **options})
        started.append(container)
        container.start()
        return container

    yield start_container
    for container in started:
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)
