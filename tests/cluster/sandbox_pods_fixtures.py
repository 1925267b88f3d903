"""The sandbox image on the node, a pool of its pods, and a sandboxd that has them for its sandboxes."""

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from node_under_test import NodeUnderTest, push
from sandbox_daemon import Daemon
from sandbox_image import IMAGE, build_sandbox_image
from sandbox_pods import Cluster, PodPool

_PROCESS = Path(__file__).parent / "sandbox_pods_process.py"


@dataclass
class PodDaemon(Daemon):
    """sandboxd's own server on pods; a process of this machine, not of the cluster."""

    pool: PodPool = field(kw_only=True)

    def clean(self) -> None:
        """Delete the pods that it still holds."""
        for name in self.pool.claimed():
            self.pool.give_up(name)

    def kill(self) -> None:
        """End it as the kernel would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="session")
def pod_cluster(node: NodeUnderTest) -> Cluster:
    """The node."""
    return Cluster(node.kubeconfig, str(node.layout.programs / "kubectl"))


@pytest.fixture(scope="session")
def pod_image(node: NodeUnderTest) -> str:
    """The sandbox image of this checkout, where the node pulls it."""
    build_sandbox_image(IMAGE)
    return push(IMAGE, node.layout.registry)


@pytest.fixture(scope="session")
def pod_pool(pod_cluster: Cluster, pod_image: str) -> Iterator[PodPool]:
    """A pool that tests leave as it was."""
    pool = PodPool(pod_cluster, pod_image, replicas=8)
    pool.create()
    yield pool
    pool.delete()


@pytest.fixture(scope="module")
def used_pool(pod_cluster: Cluster, pod_image: str) -> Iterator[PodPool]:
    """A pool of one file, whose tests use up its pods."""
    pool = PodPool(pod_cluster, pod_image)
    pool.create()
    yield pool
    pool.delete()


@pytest.fixture
def own_pool(pod_cluster: Cluster, pod_image: str) -> Iterator[PodPool]:
    """A pool of one test that changes it, or deletes it."""
    pool = PodPool(pod_cluster, pod_image)
    pool.create()
    yield pool
    pool.delete()


@pytest.fixture(scope="session")
def runtime() -> str:
    """The name that the suite of tests/sandbox knows the node's runtime by."""
    return "runc"


@pytest.fixture(scope="session")
def pod_daemon(pod_pool: PodPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The suite's sandboxd on pods."""
    started = make_daemon(pod_pool, tmp_path_factory.mktemp("pods"), warm=4, maximum=6)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def daemons(used_pool: PodPool, tmp_path: Path) -> Generator[Callable[..., PodDaemon]]:
    """Makes sandboxds on the file's pool, of which nothing is in use before."""
    used_pool.at_rest()
    with daemons_on(used_pool, tmp_path) as make:
        yield make


@pytest.fixture
def own_daemons(own_pool: PodPool, tmp_path: Path) -> Generator[Callable[..., PodDaemon]]:
    """Makes sandboxds on a pool of this test's own."""
    with daemons_on(own_pool, tmp_path) as make:
        yield make


@contextmanager
def daemons_on(pool: PodPool, folder: Path) -> Generator[Callable[..., PodDaemon]]:
    """Make sandboxds on a pool; all have stopped, and hold nothing, after the block."""
    made: list[PodDaemon] = []

    def make(worker: str = "first", **changes: Any) -> PodDaemon:
        own = folder / f"{worker}-{len(made)}"
        own.mkdir()
        made.append(make_daemon(pool, own, worker, **changes))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.stop()


def make_daemon(pool: PodPool, folder: Path, worker: str = "first", *, dead: str = "", **template: Any) -> PodDaemon:
    """A sandboxd on a pool, not started; `dead` is a worker that it is to take for dead."""
    environment = pool.environment(folder / "credentials", **template)
    templates = json.loads(environment.pop("FLEET_SANDBOX_TEMPLATES"))
    return PodDaemon(
        folder,
        templates,
        environment={**environment, "FLEET_WORKER_ID": worker, "TEST_DEAD_WORKER": dead},
        command=(*pool.cluster.inside, sys.executable, str(_PROCESS)),
        pool=pool,
    )
