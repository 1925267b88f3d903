"""Pools of agent-sandbox for tests, and sandboxds that claim from them."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_sandbox_pool import AgentSandboxPool, collected, served_kinds
from sandbox_daemon import Daemon
from sandbox_pods import Cluster
from sandbox_pods_fixtures import PodDaemon, make_daemon


@pytest.fixture(scope="session")
def agent_sandbox_kinds(pod_cluster: Cluster) -> Iterator[None]:
    """The cluster serves agent-sandbox's kinds."""
    with served_kinds(pod_cluster):
        yield


@pytest.fixture
def own_warm_pool(pod_cluster: Cluster, pod_image: str, agent_sandbox_kinds: None) -> Iterator[AgentSandboxPool]:
    """A pool of one test, not created yet."""
    pool = AgentSandboxPool(pod_cluster, pod_image)
    yield pool
    pool.delete()


@pytest.fixture
def claim_daemons(own_warm_pool: AgentSandboxPool, tmp_path: Path) -> Generator[Callable[..., PodDaemon]]:
    """Makes sandboxds on a pool of this test's own, which is created with the first of them."""
    made: list[PodDaemon] = []

    def make(worker: str = "first", **changes: Any) -> PodDaemon:
        if not made:
            own_warm_pool.create()
            collected(own_warm_pool)
        folder = tmp_path / f"{worker}-{len(made)}"
        folder.mkdir()
        made.append(make_daemon(own_warm_pool, folder, worker, **changes))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="session")
def warm_pool(pod_cluster: Cluster, pod_image: str, agent_sandbox_kinds: None) -> Iterator[AgentSandboxPool]:
    """A pool that tests leave as it was. Its pods have an hour to end, so that nothing here ends by that alone."""
    pool = AgentSandboxPool(pod_cluster, pod_image, grace_seconds=3600)
    pool.create()
    collected(pool)
    yield pool
    pool.delete()


@pytest.fixture(scope="session")
def daemon(warm_pool: AgentSandboxPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The suite's sandboxd on claims."""
    started = make_daemon(warm_pool, tmp_path_factory.mktemp("claims"), warm=2, maximum=4)
    started.start()
    yield started
    started.stop()
