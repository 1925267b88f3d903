"""A fleet on the cluster apart. The test, and all that it starts, is in the network of that cluster meanwhile."""

import ctypes
import json
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deployed_cluster import Fleet, pool
from node_apart import NodeApart

from engine.cluster import containers
from tests.images.image_builds import CHECKOUT, NAMES, build

_CLONE_NEWNET = 0x40000000


@contextmanager
def inside(network: str) -> Generator[None]:
    """Be in a network namespace in this block: this thread, and the threads and processes that it starts."""
    system = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if system.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {network}")

    with Path("/proc/thread-self/ns/net").open() as before, Path("/run/netns", network).open() as there:
        enter(there.fileno())
        try:
            yield
        finally:
            enter(before.fileno())


def imported(apart: NodeApart) -> dict[str, str]:
    """The fleet's images, given to the node as `make cluster-images` does; what `images.imported` is set to."""
    names: dict[str, str] = {}
    for name in NAMES:
        names[name] = f"agent-fleet/{name}:apart"
        build(CHECKOUT / "images" / name, names[name])
        archive = subprocess.run(["docker", "save", names[name]], check=True, capture_output=True, timeout=300).stdout
        containers.import_archive(apart.layout, archive)
    return names


@pytest.fixture(scope="module")
def fleet_apart(node_apart: NodeApart, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Deployed by `make up`; two jobs at a time."""
    node_apart.up()
    images = imported(node_apart)
    with inside(node_apart.network):
        fleet = Fleet(tmp_path_factory.mktemp("fleet"), node_apart.layout.kubeconfig, {"imported": images})
        try:
            fleet.settings["teams"]["alpha"]["pools"]["testing"] = pool(concurrency=2)
            fleet.succeed("up")
            yield fleet
        finally:
            fleet.remove()


def containers_of_pods(apart: NodeApart) -> dict[str, str]:
    """For each container that containerd keeps, running or not, the UID of its pod."""
    control = ["ctr", "--address", str(apart.layout.containerd_socket), "--namespace", "k8s.io", "containers"]
    listed = subprocess.run([*control, "list", "-q"], check=True, capture_output=True, text=True, timeout=30)
    found: dict[str, str] = {}
    for each in listed.stdout.split():
        shown = subprocess.run([*control, "info", each], check=False, capture_output=True, text=True, timeout=30)
        if shown.returncode == 0:
            found[each] = json.loads(shown.stdout)["Labels"]["io.kubernetes.pod.uid"]
    return found
