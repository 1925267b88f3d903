"""What stands in the way of a cluster on this machine, asked before anything is changed."""

import os
import platform
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from engine.cluster import network, removal
from engine.cluster.layout import Layout
from engine.cluster.processes import all_ids, command_line
from engine.errors import UserFacingError
from engine.port_check import listener

_FREE_BYTES = 4 * 1024**3
_MEMORY_BYTES = 2 * 1024**3
_OTHERS = ("kubelet", "kube-proxy", "k3s", "k3s-server", "k0s", "microk8s", "kubelite", "rke2", "hyperkube")
_OWN_CLUSTER = (
    "Use a cluster that you have instead: STACK=local-cluster takes any kubeconfig (kind, k3s, Docker Desktop; "
    "docs/cluster.md)."
)


def possible() -> bool:
    """Whether this user of this machine may start a node at all."""
    return platform.system() == "Linux" and os.geteuid() == 0


def check_machine(layout: Layout) -> None:
    """Refuse a machine that cannot run a node: no Linux, no root, too small, the checkout too deep."""
    if platform.system() != "Linux":
        raise UserFacingError(f"`make cluster` needs Linux; this is {platform.system()}.", _OWN_CLUSTER)
    if os.geteuid() != 0:
        raise UserFacingError(
            "`make cluster` starts a Kubernetes node, which only root may do.",
            f"Run it as root (sudo make cluster). {_OWN_CLUSTER}",
        )
    if layout.too_long:
        raise UserFacingError(
            f"The path {layout.folder} is {layout.too_long} characters too long: Unix sockets below it could not be "
            "opened.",
            "Move the checkout to a shorter path.",
        )


def check_resources(layout: Layout) -> None:
    """Refuse a machine without the disk and the memory that an idle cluster takes."""
    folder = layout.folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < _FREE_BYTES:
        raise UserFacingError(
            f"The cluster needs {_FREE_BYTES / 1024**3:.0f} GB free on the disk of {folder}; "
            f"{free / 1024**3:.1f} GB are.",
            "Free space there and run the command again.",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < _MEMORY_BYTES:
        raise UserFacingError(
            f"The cluster needs {_MEMORY_BYTES / 1024**3:.0f} GB of memory; this machine has "
            f"{memory / 1024**3:.1f} GB.",
            _OWN_CLUSTER,
        )


def check_owner(layout: Layout) -> None:
    """Refuse a machine on which another checkout's cluster runs; one that was killed is in nobody's way."""
    owner = network.owner(layout)
    if owner is None or owner == layout.owner or removal.abandoned(layout) is not None:
        return
    if not Path(owner).exists():
        remedy = f"Its folder is gone. End its processes: those whose command line names {owner} (ps -ef)."
    else:
        remedy = f"A machine has one. Use it (KUBECONFIG={owner}/kubeconfig), or run `make cluster-down` there first."
    raise UserFacingError(f"The cluster of another checkout is on this machine: {owner}.", remedy)


def _network_namespace(pid: int | str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def check_other_nodes(ours: Sequence[int]) -> None:
    """Refuse a machine that is a Kubernetes node already; nodes in containers (kind) are none."""
    own_namespace = _network_namespace("self")
    for pid in all_ids():
        words = command_line(pid)
        if not words or pid in ours or Path(words[0]).name not in _OTHERS:
            continue
        if _network_namespace(pid) == own_namespace:
            raise UserFacingError(
                f"This machine is a Kubernetes node already: {Path(words[0]).name} (process {pid}) runs on it.",
                f"Two of them would overwrite each other's firewall rules. {_OWN_CLUSTER}",
            )


def _taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def check_ports(ports: Sequence[tuple[str, int]]) -> None:
    """Refuse ports that others listen on; `ports` are those of the parts that do not run, with the part's name."""
    # The node's own address may not exist yet, so the question is whether anybody has the port anywhere.
    taken = [(name, port) for name, port in ports if _taken(port) or listener(port) is not None]
    if taken:
        told = "; ".join(f"{port} ({name}): {listener(port) or 'another process'}" for name, port in taken)
        raise UserFacingError(
            f"Ports that the cluster needs are taken: {told}.",
            "Stop what listens there, and run the command again.",
        )


def check_routes(layout: Layout) -> None:
    """Refuse a machine whose own networks overlap the cluster's."""
    if found := network.overlapping_routes(layout):
        raise UserFacingError(
            f"This machine has routes into the cluster's networks ({layout.pod_network} for pods, "
            f"{layout.service_network} for services): {', '.join(found)}.",
            f"Remove them (a VPN, often), or use another cluster. {_OWN_CLUSTER}",
        )
