"""The real engine with the stand-ins, a stack for each test, and names that no other run uses."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from control_plane import ControlPlane, running
from docker.errors import DockerException
from docker_objects import DockerObjects, import_tiny_image
from stack_program import StackProgram

from engine import plugins
from engine.cluster import packages
from engine.cluster.programs import ensure_programs
from engine.environment import engine_environment
from engine.paths import Paths
from engine.toolchain import ensure_toolchain


@pytest.fixture(scope="session")
def engine_paths() -> Paths:
    """The toolchain, complete, with a stand-in for every provider."""
    paths = Paths()
    lines: list[str] = []
    ensure_toolchain(lines.append, paths)
    plugins.provide(paths, "stand-ins", lines.append)
    return paths


@pytest.fixture(scope="session")
def _docker_daemon() -> None:
    try:
        docker.from_env().ping()
    except DockerException as error:
        pytest.skip(f"no Docker daemon answers: {error}")


@pytest.fixture
def docker_objects(_docker_daemon: None) -> Iterator[DockerObjects]:
    """Names for this test's Docker objects; all of them are removed at its end."""
    objects = DockerObjects(f"probe-{uuid.uuid4().hex[:10]}")
    yield objects
    objects.remove()


@pytest.fixture(scope="session")
def tiny_image(_docker_daemon: None) -> Iterator[str]:
    """A small image with a shell."""
    tag = f"probe-tiny-{uuid.uuid4().hex[:10]}:1"
    import_tiny_image(tag)
    yield tag
    docker.from_env().images.remove(tag, force=True)


@pytest.fixture(scope="session")
def install_packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], None]:
    """Installs the Debian packages of the one-node cluster, when a test needs a program of theirs."""
    lines: list[str] = []
    return lambda: packages.ensure_packages(lines.append, tmp_path_factory.mktemp("packages") / "log")


def _stack(paths: Paths, folder: Path) -> StackProgram:
    environment = engine_environment(
        paths, state=folder / "state", passphrase=folder / "passphrase", plugins="stand-ins"
    )
    return StackProgram(folder / "program", environment)


@pytest.fixture(scope="session")
def empty_stack(engine_paths: Paths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty stack, to be copied: the engine needs half a second for each that it makes."""
    folder = tmp_path_factory.mktemp("empty-stack")
    _stack(engine_paths, folder).init()
    return folder


@pytest.fixture
def stack(engine_paths: Paths, empty_stack: Path, tmp_path: Path) -> StackProgram:
    """An empty stack with a state of its own."""
    for name in ("state", "program"):
        shutil.copytree(empty_stack / name, tmp_path / name)
    shutil.copy(empty_stack / "passphrase", tmp_path / "passphrase")
    return _stack(engine_paths, tmp_path)


@pytest.fixture(scope="session")
def control_plane(
    tmp_path_factory: pytest.TempPathFactory, install_packages: Callable[[], None]
) -> Iterator[ControlPlane]:
    """A Kubernetes control plane without nodes, shared by the tests of a run."""
    install_packages()
    lines: list[str] = []
    with running(tmp_path_factory.mktemp("control-plane"), ensure_programs(lines.append)) as plane:
        yield plane


@pytest.fixture
def cluster_stack(stack: StackProgram, control_plane: ControlPlane) -> StackProgram:
    """An empty stack whose programs use the control plane by default."""
    stack.environment["KUBECONFIG"] = str(control_plane.kubeconfig)
    return stack


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of this test's own, made past the engine."""
    name = f"probe-{uuid.uuid4().hex[:10]}"
    control_plane.create("/api/v1/namespaces", {"metadata": {"name": name}})
    # The controller makes it after the namespace; pods are refused until then.
    control_plane.wait_for(f"/api/v1/namespaces/{name}/serviceaccounts/default")
    yield name
    control_plane.delete(f"/api/v1/namespaces/{name}")
