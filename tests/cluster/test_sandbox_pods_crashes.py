"""Sandboxes while parts of the cluster itself crash, on a cluster that only these tests use."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_apart import NodeApart
from sandbox_daemon import eventually
from sandbox_image import IMAGE, build_sandbox_image
from sandbox_pods import Cluster, PodPool
from sandbox_pods_fixtures import PodDaemon, make_daemon

from engine.cluster import containers

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def apart_pool(node_apart: NodeApart, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodPool]:
    """A pool on the cluster apart."""
    node_apart.up()
    build_sandbox_image(IMAGE)
    archive = tmp_path_factory.mktemp("image") / "sandbox.tar"
    subprocess.run(["docker", "save", "-o", str(archive), IMAGE], check=True, timeout=300)
    containers.import_archive(node_apart.layout, archive.read_bytes())
    place = node_apart.layout
    cluster = Cluster(place.kubeconfig, str(place.programs / "kubectl"), node_apart.inside)
    pool = PodPool(cluster, IMAGE, pull_policy="Never")
    pool.create()
    yield pool
    pool.delete()


@pytest.fixture
def apart_daemon(apart_pool: PodPool, tmp_path: Path) -> Iterator[PodDaemon]:
    """A sandboxd in that cluster's network."""
    daemon = make_daemon(apart_pool, tmp_path, warm=2)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.mark.parametrize("killed", [("api-server",), ("etcd", "api-server"), ("kubelet",), ("controller-manager",)])
async def test_sandboxes_come_back_after_a_crash_by_themselves(
    node_apart: NodeApart, apart_daemon: PodDaemon, killed: tuple[str, ...]
) -> None:
    """A worker lives for weeks, and control planes are replaced under it."""
    await apart_daemon.warm(seconds=60)
    running = asyncio.create_task(apart_daemon.run("bash", "echo begun; sleep 3; echo ended"))

    async def begun() -> bool:
        count = await apart_daemon.count()
        return count is not None and count.templates["default"].running == 1

    await eventually(begun, 20, "the job to run")
    for name in killed:
        node_apart.processes()[name].send(signal.SIGKILL)
    result = await asyncio.wait_for(running, 60)
    # Its stream leads through the API server and the kubelet, and through nothing else.
    streams = {"api-server", "kubelet"} & set(killed)
    assert result.reason == ("sandbox_terminated" if streams else "exited"), result
    assert result.stdout.startswith(b"begun\n")
    await asyncio.to_thread(node_apart.up)
    await apart_daemon.warm(seconds=120)
    for _ in range(3):
        assert (await apart_daemon.run("python", "print(6 * 7)", timeout_seconds=60)).stdout == b"42\n"
