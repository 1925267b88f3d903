"""The one-node cluster of this checkout for all tests that use it, and one apart for those that break theirs."""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import kr8s
import pytest
from agent_sandbox_fixtures import (
    agent_sandbox_kinds,
    claim_daemon,
    claim_daemons,
    own_claim_daemons,
    own_warm_pool,
    used_warm_pool,
    warm_pool,
)
from deployed_fixtures import first_up, fleet, new_fleet
from kr8s import Api
from node_apart import NodeApart
from node_under_test import NodeUnderTest, push
from sandbox_pods_fixtures import (
    daemons,
    own_daemons,
    own_pool,
    pod_cluster,
    pod_daemon,
    pod_image,
    pod_pool,
    runtime,
    used_pool,
)

from engine.cluster import conflicts
from engine.cluster.layout import layout
from engine.commands.cluster import ready, start, stop
from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.file_lock import held
from engine.images import ensure_base_image
from engine.paths import Paths

# Fixtures of a session are one for all files only where they stand in a conftest.
__all__ = [
    "agent_sandbox_kinds",
    "claim_daemon",
    "claim_daemons",
    "daemons",
    "first_up",
    "fleet",
    "new_fleet",
    "own_claim_daemons",
    "own_daemons",
    "own_pool",
    "own_warm_pool",
    "pod_cluster",
    "pod_daemon",
    "pod_image",
    "pod_pool",
    "runtime",
    "used_pool",
    "used_warm_pool",
    "warm_pool",
]


def _session() -> Session:
    return Session(Paths(), "local-cluster", 0.0)


def _silent(text: str) -> None:
    del text


def _skip(error: UserFacingError) -> NoReturn:
    """Skip where no preparation of this machine helps, else only outside CI."""
    message = f"{error.message} {error.remedy}"
    if not conflicts.possible():
        pytest.skip(f"cannot be had here: {message}")
    if os.environ.get("CI"):
        raise error
    pytest.skip(f"needs a Kubernetes node: {message}")


def _users_lock(session: Session) -> Path:
    """Held by every process whose tests use the shared cluster."""
    path = session.paths.lock("cluster-tests-users")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def node() -> Iterator[NodeUnderTest]:
    """The checkout's cluster, as `make cluster` starts it; stopped at the end if it did not run before."""
    session = _session()
    with _users_lock(session).open("w") as users:
        try:
            # The processes of one run (xdist) start it one after another, and share it then.
            with held(session.paths.lock("cluster-tests-start")):
                # First: whoever is the last to use it may be stopping it at this moment.
                fcntl.flock(users, fcntl.LOCK_SH)
                _, started = start(session, _silent)
        except UserFacingError as error:
            _skip(error)
        place = layout(session.paths)
        os.environ["AGENT_FLEET_TEST_KUBECONFIG"] = str(place.kubeconfig)
        os.environ["AGENT_FLEET_TEST_KUBECTL"] = str(place.programs / "kubectl")
        os.environ["AGENT_FLEET_TEST_REGISTRY"] = place.registry
        yield NodeUnderTest(place)
        if "api-server" in started and "etcd" in started:
            fcntl.flock(users, fcntl.LOCK_EX)  # the other processes have ended
            stop(session, _silent)


@pytest.fixture(scope="session")
def cluster(node: NodeUnderTest) -> NodeUnderTest:
    """The same cluster, where fleets are deployed."""
    return node


@pytest.fixture(scope="session")
def api(node: NodeUnderTest) -> Api:
    """A client of the cluster's API."""
    return kr8s.api(kubeconfig=str(node.kubeconfig))


@pytest.fixture(scope="session")
def node_image(node: NodeUnderTest) -> str:
    """An image with bash and perl, pushed to the node's registry, by its digest."""
    return push(ensure_base_image(_silent), node.layout.registry)


@pytest.fixture(scope="session")
def node_image_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same image as an archive, for nodes that no registry serves."""
    path = tmp_path_factory.mktemp("image") / "base.tar"
    subprocess.run(["docker", "save", "-o", str(path), ensure_base_image(_silent)], check=True, timeout=300)
    return path


@pytest.fixture(scope="module")
def node_apart() -> Iterator[NodeApart]:
    """A cluster in a network namespace of its own, running, which tests may break; removed at the end."""
    try:
        ready(_session(), _silent)
    except UserFacingError as error:
        _skip(error)
    apart = NodeApart.make()
    try:
        yield apart
    finally:
        apart.remove()
