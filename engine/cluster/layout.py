"""Where the one-node cluster keeps its files, and its names, addresses and ports on the machine."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engine.paths import Paths

# A Unix socket's path has 107 characters at most; the longest of ours is 40 below the folder.
_LONGEST_FOLDER = 66


@dataclass(frozen=True)
class Layout:
    """One cluster. `folder` holds its whole state; the rest is the same for every cluster, since a machine has one."""

    folder: Path
    logs: Path

    node_name: str = "agent-fleet-node"
    # The interface that carries the node's own address, which only this machine and its pods reach.
    interface: str = "agent-fleet0"
    chain: str = "AGENT-FLEET-CLUSTER"
    cgroup: str = "agent-fleet-cluster"
    network_name: str = "agent-fleet-cluster"
    node_address: str = "10.244.255.254"
    pod_network: str = "10.244.0.0/16"
    pod_subnet: str = "10.244.0.0/24"
    service_network: str = "10.43.0.0/16"
    kubernetes_address: str = "10.43.0.1"
    dns_address: str = "10.43.0.10"
    domain: str = "cluster.local"
    registry_port: int = 5001
    api_port: int = 16443
    etcd_port: int = 12379
    etcd_peer_port: int = 12380
    kubelet_port: int = 16250
    kubelet_health_port: int = 16248
    proxy_health_port: int = 16256
    proxy_metrics_port: int = 16249
    dns_port: int = 16253
    dns_health_port: int = 16258
    metrics_port: int = 16444

    @property
    def input_chain(self) -> str:
        """The chain for what comes to the node's address; its name begins as the other's."""
        return f"{self.chain}-IN"

    @property
    def certificates(self) -> Path:
        """Certificates and keys."""
        return self.folder / "certificates"

    @property
    def configuration(self) -> Path:
        """What the programs read."""
        return self.folder / "configuration"

    @property
    def processes(self) -> Path:
        """Which process is which part."""
        return self.folder / "processes"

    @property
    def data(self) -> Path:
        """What outlives a reboot: etcd, images, claims, the registry."""
        return self.folder / "data"

    @property
    def volumes(self) -> Path:
        """A folder for each claim."""
        return self.data / "volumes"

    @property
    def run(self) -> Path:
        """What does not outlive a reboot: sockets and containerd's mounts."""
        return self.folder / "run"

    @property
    def containerd_socket(self) -> Path:
        """The API of containerd and of its CRI."""
        return self.run / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; mode 600."""
        return self.folder / "kubeconfig"

    @property
    def programs(self) -> Path:
        """Holds kubectl, for the user's PATH."""
        return self.folder / "bin"

    @property
    def registry(self) -> str:
        """The registry's address, for image names."""
        return f"127.0.0.1:{self.registry_port}"

    @property
    def server(self) -> str:
        """The API server's URL, from the machine and from pods alike."""
        return f"https://{self.node_address}:{self.api_port}"

    @property
    def too_long(self) -> int:
        """By how many characters the folder's path is too long for Unix sockets below it."""
        return max(0, len(str(self.folder)) - _LONGEST_FOLDER)

    @property
    def owner(self) -> str:
        """What the interface's alias says, so that another checkout knows whose cluster it is (256 bytes at most)."""
        path = str(self.folder)
        return path if len(path.encode()) < 200 else hashlib.sha256(path.encode()).hexdigest()


def layout(paths: Paths | None = None) -> Layout:
    """The cluster of a checkout."""
    paths = paths or Paths()
    return Layout(paths.fleet / "cluster", paths.logs / "cluster")
