"""Docker, the sandbox image, and a sandboxd that the suite shares."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from egress_fixtures import (
    authority,
    egress_fleet,
    egress_upstream,
    internet,
    own_egress_fleet,
    running,
    sandbox,
    upstream,
)
from fleet_runtime.sandboxd.oci_images import Images
from made_sandboxes import DockerMade, OciMade, Way
from sandbox_daemon import MEBIBYTE, TEMPLATE, Daemon
from sandbox_image import BASE, IMAGE, build_sandbox_image

__all__ = [
    "authority",
    "egress_fleet",
    "egress_upstream",
    "internet",
    "own_egress_fleet",
    "running",
    "sandbox",
    "upstream",
]

BACKENDS = ("docker", "oci")
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


@pytest.fixture(scope="session")
def oci_state(sandbox_image: str) -> Iterator[Path]:
    """A folder with the sandbox image unpacked, where sandboxes with user IDs of their own can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="agent-fleet-oci-", dir="/var/tmp"))
    folder.chmod(0o711)
    saved = folder / "image.tar"
    try:
        subprocess.run(["docker", "save", "--output", str(saved), sandbox_image], check=True, timeout=120)
        unpacked = Images(folder / "images").unpack(saved, keep=1)
        assert unpacked == sandbox_image
        saved.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def made_by(backend: str, request: pytest.FixtureRequest) -> DockerMade | OciMade:
    """How sandboxes of a backend are seen; skipped or failed where this machine cannot have them."""
    if backend == "docker":
        return DockerMade(request.getfixturevalue("docker_client"), {})
    if os.geteuid() != 0:
        lacking("only root can make containers with the oci backend")
    state = request.getfixturevalue("oci_state")
    return OciMade(state, {"FLEET_SANDBOXD_BACKEND": "oci", "FLEET_OCI_STATE": str(state)})


@pytest.fixture(scope="session", params=[f"{backend}-{runtime}" for backend in BACKENDS for runtime in RUNTIMES])
def way(request: pytest.FixtureRequest, sandbox_image: str) -> Way:
    """Each backend with each OCI runtime that it knows here."""
    backend, _, runtime = str(request.param).partition("-")
    if backend == "docker":
        known = runtime in request.getfixturevalue("docker_client").info()["Runtimes"]
    else:
        known = shutil.which(runtime, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None
    if not known:
        # gVisor is not something that every machine can have, so this is no failure under CI.
        pytest.skip(f"cannot be had here: the runtime {runtime} for the backend {backend}")
    return Way(backend, runtime, sandbox_image, made_by(backend, request))


@pytest.fixture(scope="session")
def runtime(way: Way) -> str:
    """The OCI runtime of the suite's sandboxd."""
    return way.runtime


@pytest.fixture(scope="session")
def daemon(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The suite's sandboxd, for tests that leave it as it was."""
    template = {**TEMPLATE, "image": way.image, "runtime": way.runtime}
    small = {**template, "scratch_bytes": MEBIBYTE, "warm": 0, "maximum": 1}
    frugal = {**template, "cpu_seconds": 1, "warm": 0, "maximum": 2}
    cold = {**template, "warm": 0, "maximum": 1}
    templates = {"default": template, "small": small, "frugal": frugal, "cold": cold}
    daemon = Daemon(tmp_path_factory.mktemp("sandboxd"), templates, made=way.made)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(params=BACKENDS)
def own_daemon(request: pytest.FixtureRequest, sandbox_image: str, tmp_path: Path) -> Iterator[Daemon]:
    """A sandboxd, not started yet, for tests that break it."""
    made = made_by(str(request.param), request)
    daemon = Daemon(tmp_path, {"default": {**TEMPLATE, "image": sandbox_image}}, made=made)
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module", params=BACKENDS)
def made(request: pytest.FixtureRequest) -> DockerMade | OciMade:
    """Each backend with its first runtime."""
    return made_by(str(request.param), request)


@pytest.fixture(scope="module")
def agents(
    made: DockerMade | OciMade, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A sandboxd with two agent types beside the template for code; tests have tenants of their own."""
    agent = {**TEMPLATE, "image": sandbox_image, "warm": 0, "workspaces": True}
    templates = {
        "default": {**TEMPLATE, "image": sandbox_image, "warm": 1},
        "agent-a": agent,
        "agent-b": {**agent, "maximum": 1},
        "impatient": {**agent, "start_timeout_seconds": 6},
    }
    daemon = Daemon(tmp_path_factory.mktemp("agents"), templates, made=made)
    daemon.start()
    yield daemon
    daemon.stop()
