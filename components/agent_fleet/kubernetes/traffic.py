"""NetworkPolicies: a denial of everything, and one allowance for each thing that is needed."""

import ipaddress
from collections.abc import Mapping

import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import namespaces_named, selector_labels

POSTGRES_PORT = 5432
REDIS_PORT = 6379
API_SERVER_PORTS = (443, 6443)
PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
LINK_LOCAL = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")
"""Where clouds serve a machine's own metadata and credentials: 169.254.169.254, 169.254.170.23, fd00:ec2::254."""

MESH_PORT = 15008
"""HBONE: in Istio's ambient mesh, traffic between two of its pods arrives here whatever port it is for."""
MESH_PROBES = "169.254.7.127/32"
"""The address that Istio's ambient mesh gives to the kubelet's probes."""
POD_IDENTITY_AGENTS = ("169.254.170.23/32", "fd00:ec2::23/128")

DNS_NAMESPACE = "kube-system"
DNS_LABELS: Mapping[str, str] = {"k8s-app": "kube-dns"}
"""CoreDNS has them too, in EKS, kubeadm, kind and k3s."""

_Spec = k8s.networking.v1.NetworkPolicySpecArgs
_Peer = k8s.networking.v1.NetworkPolicyPeerArgs


def denial() -> _Spec:
    """No traffic in or out of any pod of the namespace."""
    return _Spec(pod_selector=k8s.meta.v1.LabelSelectorArgs(), policy_types=["Ingress", "Egress"])


def dns() -> _Spec:
    """Questions to the cluster's name servers."""
    server = _Peer(
        namespace_selector=namespaces_named([DNS_NAMESPACE]),
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(DNS_LABELS)),
    )
    return _egress([server], [*_ports([53]), *_ports([53], "UDP")])


def ingress_from_namespaces(
    namespaces: list[str], ports: list[int], *, pods: Mapping[str, str] | None = None, mesh: bool = False
) -> _Spec:
    """Connections from the pods of these namespaces, to all pods or to those with these labels."""
    peers = [_Peer(namespace_selector=namespaces_named(namespaces))]
    return _ingress(peers, _ports([*ports, MESH_PORT] if mesh else ports), pods)


def ingress_from_anywhere(ports: list[int], pods: Mapping[str, str], *, mesh: bool = False) -> _Spec:
    """Connections from inside and outside of the cluster to the pods with these labels."""
    return _ingress(None, _ports([*ports, MESH_PORT] if mesh else ports), pods)


def database(fleet: str, namespace: str | None, cidrs: list[str], *, mesh: bool = False) -> _Spec:
    """Connections to the fleet's PostgreSQL: its pods in a namespace, or addresses outside of the cluster."""
    peers = [_address(cidr) for cidr in cidrs]
    if namespace is not None:
        peers.append(
            _Peer(
                namespace_selector=namespaces_named([namespace]),
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector_labels(fleet, "database")),
            )
        )
    return _egress(peers, _ports([POSTGRES_PORT, MESH_PORT] if mesh else [POSTGRES_PORT]))


def redis(fleet: str, namespace: str, *, mesh: bool = False) -> _Spec:
    """Connections to the fleet's Redis, by its pods in a namespace."""
    peer = _Peer(
        namespace_selector=namespaces_named([namespace]),
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector_labels(fleet, "redis")),
    )
    return _egress([peer], _ports([REDIS_PORT, MESH_PORT] if mesh else [REDIS_PORT]))


def to_namespace(namespace: str, port: int, *, mesh: bool = False) -> _Spec:
    """Connections to one port of the pods of a namespace."""
    peers = [_Peer(namespace_selector=namespaces_named([namespace]))]
    return _egress(peers, _ports([port, MESH_PORT] if mesh else [port]))


def to_addresses(cidrs: list[str], ports: list[int]) -> _Spec:
    """Connections to these addresses, never to one that serves a machine's own metadata."""
    return _egress([_address(cidr) for cidr in cidrs], _ports(ports))


def pod_identity() -> _Spec:
    """Questions to EKS Pod Identity's agent for the credentials of the pod's own role."""
    return _egress(
        [_Peer(ip_block=k8s.networking.v1.IPBlockArgs(cidr=cidr)) for cidr in POD_IDENTITY_AGENTS], _ports([80])
    )


def mesh_probes() -> _Spec:
    """The kubelet's probes, as they arrive in Istio's ambient mesh."""
    return _ingress([_Peer(ip_block=k8s.networking.v1.IPBlockArgs(cidr=MESH_PROBES))], None, None)


def _address(cidr: str) -> _Peer:
    network = ipaddress.ip_network(cidr)
    excepted: list[str] = []
    for text in LINK_LOCAL:
        metadata = ipaddress.ip_network(text)
        if metadata.version != network.version or not metadata.overlaps(network):
            continue
        if metadata.prefixlen <= network.prefixlen:
            raise ValueError(f"{cidr} lies in {text}, where clouds serve a machine's own credentials: take another")
        excepted.append(text)
    return _Peer(ip_block=k8s.networking.v1.IPBlockArgs(cidr=str(network), except_=excepted or None))


def _ports(numbers: list[int], protocol: str = "TCP") -> list[k8s.networking.v1.NetworkPolicyPortArgs]:
    return [k8s.networking.v1.NetworkPolicyPortArgs(port=number, protocol=protocol) for number in numbers]


def _egress(peers: list[_Peer], ports: list[k8s.networking.v1.NetworkPolicyPortArgs]) -> _Spec:
    return _Spec(
        pod_selector=k8s.meta.v1.LabelSelectorArgs(),
        policy_types=["Egress"],
        egress=[k8s.networking.v1.NetworkPolicyEgressRuleArgs(to=peers, ports=ports)],
    )


def _ingress(
    peers: list[_Peer] | None,
    ports: list[k8s.networking.v1.NetworkPolicyPortArgs] | None,
    pods: Mapping[str, str] | None,
) -> _Spec:
    return _Spec(
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=None if pods is None else dict(pods)),
        policy_types=["Ingress"],
        ingress=[k8s.networking.v1.NetworkPolicyIngressRuleArgs(from_=peers, ports=ports)],
    )
