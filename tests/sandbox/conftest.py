"""Docker, the sandbox image, and a sandboxd that the suite shares."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from sandbox_daemon import MEBIBYTE, TEMPLATE, Daemon
from sandbox_image import BASE, IMAGE, build_sandbox_image

RUNTIMES = ("runc", "runsc")


def lacking(reason: str) -> None:
    """Skip where a machine lacks something; under CI, where it must not, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """The real Docker."""
    try:
        client = docker.DockerClient(timeout=60)
        client.ping()
    except DockerException as error:
        lacking(f"no Docker daemon answers: {error}")
        raise
    yield client
    client.close()


@pytest.fixture(scope="session")
def sandbox_image(docker_client: docker.DockerClient) -> str:
    """The sandbox image of this checkout, by its ID; built, which BuildKit's cache makes quick."""
    try:
        docker_client.images.get(BASE)
    except ImageNotFound:
        lacking(f"the base image {BASE} is not on this host; images/base makes it")
    build_sandbox_image(IMAGE)
    image: Any = docker_client.images.get(IMAGE)
    return str(image.id)


@pytest.fixture(scope="session", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, docker_client: docker.DockerClient) -> str:
    """Each OCI runtime that Docker knows here."""
    if request.param not in docker_client.info()["Runtimes"]:
        # gVisor is not something that every machine can have, so this is no failure under CI.
        pytest.skip(f"cannot be had here: the runtime {request.param}, which is not registered with Docker")
    return request.param


@pytest.fixture(scope="session")
def daemon(runtime: str, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The suite's sandboxd, for tests that leave it as it was."""
    template = {**TEMPLATE, "image": sandbox_image, "runtime": runtime}
    small = {**template, "scratch_bytes": MEBIBYTE, "warm": 0, "maximum": 1}
    daemon = Daemon(tmp_path_factory.mktemp("sandboxd"), {"default": template, "small": small})
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def own_daemon(sandbox_image: str, tmp_path: Path) -> Iterator[Daemon]:
    """A sandboxd, not started yet, for tests that break it."""
    daemon = Daemon(tmp_path, {"default": {**TEMPLATE, "image": sandbox_image}})
    yield daemon
    daemon.stop()
