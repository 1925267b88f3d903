"""The files that the cluster's programs read, written from the layout; the same layout gives the same files."""

import base64
import json
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from engine.cluster.layout import Layout
from engine.cluster.packages import CNI_PLUGINS
from engine.cluster.pause_image import PAUSE_IMAGE
from engine.report import private_file

# Per pod: a job that forks without end stops here and not at the machine's limit.
POD_PIDS_LIMIT = 1024
GVISOR_PROGRAMS = ("runsc", "containerd-shim-runsc-v1")
_CONTEXT = "agent-fleet-cluster"
# By the certificate of the same name.
_CLIENTS = ("controller-manager", "scheduler", "proxy", "kubelet", "metrics-server", "dns", "volumes")


def gvisor_available() -> bool:
    """Whether runsc and its containerd shim are on PATH."""
    return all(shutil.which(program) for program in GVISOR_PROGRAMS)


def encoded(layout: Layout, name: str) -> str:
    """A certificate or key as configuration embeds it."""
    return base64.b64encode((layout.certificates / name).read_bytes()).decode()


def gvisor_object() -> str:
    """The RuntimeClass for runsc, as a YAML document, where the node has it."""
    if not gvisor_available():
        return ""
    return "---\napiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: gvisor}\nhandler: runsc\n"


def _kubeconfig(layout: Layout, certificate: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": _CONTEXT,
                    "cluster": {"server": layout.server, "certificate-authority-data": encoded(layout, "ca.crt")},
                }
            ],
            "users": [
                {
                    "name": _CONTEXT,
                    "user": {
                        "client-certificate-data": encoded(layout, f"{certificate}.crt"),
                        "client-key-data": encoded(layout, f"{certificate}.key"),
                    },
                }
            ],
            "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": _CONTEXT}}],
            "current-context": _CONTEXT,
        }
    )


def _containerd(layout: Layout) -> str:
    gvisor = '\n  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]\n    runtime_type = '
    return f"""version = 2
root = "{layout.data}/containerd"
state = "{layout.run}/containerd"
# It would make a folder in /opt.
disabled_plugins = ["io.containerd.internal.v1.opt"]
[debug]
  level = "warn"
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
  # A negative oom_score_adj needs a capability that root in a container or a small virtual machine lacks.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  sandbox_image = "{PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{layout.configuration}/cni"
{f'{gvisor}"io.containerd.runsc.v1"' if gvisor_available() else ""}
"""


def _network(layout: Layout) -> dict[str, Any]:
    # ptp and no bridge: all traffic is routed, so services work without the kernel's br_netfilter.
    return {
        "cniVersion": "0.4.0",
        "name": layout.network_name,
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": f"{layout.data}/leases",
                    "ranges": [[{"subnet": layout.pod_subnet}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def _resolver() -> str:
    # systemd-resolved's stub answers at a loopback address, which means nothing inside a pod.
    direct = Path("/run/systemd/resolve/resolv.conf")
    return str(direct) if direct.exists() else "/etc/resolv.conf"


def _kubelet(layout: Layout) -> dict[str, Any]:
    certificates = layout.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.node_address,
        "port": layout.kubelet_port,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": layout.kubelet_health_port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates / "kubelet-serving.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet-serving.key"),
        "clusterDNS": [layout.dns_address],
        "clusterDomain": layout.domain,
        "resolvConf": _resolver(),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["pods"],
        "podLogsDir": str(layout.data / "pod-logs"),
        "volumePluginDir": str(layout.data / "volume-plugins"),
        "podPidsLimit": POD_PIDS_LIMIT,
        "seccompDefault": True,
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 3,
        "serializeImagePulls": False,
        # 100 turns it off: images that were imported, pause among them, cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }


def _encryption(layout: Layout) -> dict[str, Any]:
    path = layout.configuration / "encryption.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        key = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            {
                "resources": ["secrets"],
                "providers": [{"secretbox": {"keys": [{"name": "first", "secret": key}]}}, {"identity": {}}],
            }
        ],
    }


def name_service(layout: Layout, nameservers: bool) -> str:
    """CoreDNS's configuration; without any name server of the machine it answers for the cluster only."""
    forward = "    forward . /etc/resolv.conf\n" if nameservers else ""
    return f""".:{layout.dns_port} {{
    bind {layout.node_address}
    errors
    health 127.0.0.1:{layout.dns_health_port}
    kubernetes {layout.domain} in-addr.arpa ip6.arpa {{
        kubeconfig {layout.configuration}/dns.kubeconfig
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
{forward}    cache 30
    loadbalance
}}
"""


def _has_nameservers() -> bool:
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[:1] == ["nameserver"] for line in lines)


def _registry(layout: Layout) -> dict[str, Any]:
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(layout.data / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": layout.registry},
    }


def files(layout: Layout) -> Mapping[Path, str]:
    """Every file with its content; needs the certificates."""
    folder = layout.configuration
    written = {
        folder / "containerd.toml": _containerd(layout),
        folder / "cni" / "10-agent-fleet.conflist": json.dumps(_network(layout), indent=1),
        folder / "kubelet.json": json.dumps(_kubelet(layout), indent=1),
        folder / "encryption.json": json.dumps(_encryption(layout), indent=1),
        folder / "Corefile": name_service(layout, _has_nameservers()),
        folder / "registry.json": json.dumps(_registry(layout), indent=1),
        layout.kubeconfig: _kubeconfig(layout, "admin"),
    }
    return written | {folder / f"{name}.kubeconfig": _kubeconfig(layout, name) for name in _CLIENTS}


def write(layout: Layout) -> None:
    """Write the files that are not as they should be, each readable by this user only."""
    for path, content in files(layout).items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != content:
            private_file(path, content)
