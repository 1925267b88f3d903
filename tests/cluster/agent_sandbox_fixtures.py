"""Pools of agent-sandbox for tests, and sandboxds that claim from them."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from agent_sandbox_pool import AgentSandboxPool, served_kinds
from sandbox_daemon import Daemon
from sandbox_pods import Cluster
from sandbox_pods_fixtures import PodDaemon, daemons_on, make_daemon


@pytest.fixture(scope="session")
def agent_sandbox_kinds(pod_cluster: Cluster) -> Iterator[None]:
    """The cluster serves agent-sandbox's kinds."""
    with served_kinds(pod_cluster):
        yield


@pytest.fixture(scope="module")
def used_warm_pool(pod_cluster: Cluster, pod_image: str, agent_sandbox_kinds: None) -> Iterator[AgentSandboxPool]:
    """A pool of one file, whose tests use up its sandboxes."""
    pool = AgentSandboxPool(pod_cluster, pod_image)
    pool.create()
    yield pool
    pool.delete()


@pytest.fixture
def claim_daemons(used_warm_pool: AgentSandboxPool, tmp_path: Path) -> Generator[Callable[..., PodDaemon]]:
    """Makes sandboxds on the file's pool, of which nothing is in use before."""
    used_warm_pool.at_rest()
    with daemons_on(used_warm_pool, tmp_path) as make:
        yield make


@pytest.fixture
def own_warm_pool(pod_cluster: Cluster, pod_image: str, agent_sandbox_kinds: None) -> Iterator[AgentSandboxPool]:
    """A pool of one test that wants another one than the file's; it creates it."""
    pool = AgentSandboxPool(pod_cluster, pod_image)
    yield pool
    pool.delete()


@pytest.fixture
def own_claim_daemons(own_warm_pool: AgentSandboxPool, tmp_path: Path) -> Generator[Callable[..., PodDaemon]]:
    """Makes sandboxds on a pool of this test's own."""
    with daemons_on(own_warm_pool, tmp_path) as make:
        yield make


@pytest.fixture(scope="session")
def warm_pool(pod_cluster: Cluster, pod_image: str, agent_sandbox_kinds: None) -> Iterator[AgentSandboxPool]:
    """A pool that tests leave as it was. Its pods have an hour to end, so that nothing here ends by that alone."""
    pool = AgentSandboxPool(pod_cluster, pod_image, grace_seconds=3600)
    pool.create()
    yield pool
    pool.delete()


@pytest.fixture(scope="session")
def claim_daemon(warm_pool: AgentSandboxPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The suite's sandboxd on claims."""
    started = make_daemon(warm_pool, tmp_path_factory.mktemp("claims"), warm=2, maximum=4)
    started.start()
    yield started
    started.stop()
