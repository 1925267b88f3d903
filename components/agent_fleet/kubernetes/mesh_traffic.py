"""NetworkPolicies of Istio's ambient mesh: what a waypoint needs, which is a pod that nobody here declares."""

import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import namespaces_named, selector_labels
from agent_fleet.kubernetes.platform import ISTIO_NAMESPACE
from agent_fleet.kubernetes.traffic import MESH_PORT

ISTIOD_PORT = 15012
"""Where istiod gives proxies their configuration and certificates, over TLS."""
ISTIOD_LABELS = {"app": "istiod"}
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
"""Istio puts it on the pods that it makes for a Gateway, as a waypoint is one."""

_Spec = k8s.networking.v1.NetworkPolicySpecArgs
_Peer = k8s.networking.v1.NetworkPolicyPeerArgs
_Selector = k8s.meta.v1.LabelSelectorArgs


def waypoint_to_its_targets(fleet: str, waypoint: str, api_namespace: str) -> _Spec:
    """From the waypoint to istiod, to the pools beside it and to the fleet's API, which takes what no pool does."""
    istiod = _Peer(
        namespace_selector=namespaces_named([ISTIO_NAMESPACE]), pod_selector=_Selector(match_labels=ISTIOD_LABELS)
    )
    pools = _Peer(pod_selector=_Selector(match_labels=selector_labels(fleet, "pool")))
    api = _Peer(
        namespace_selector=namespaces_named([api_namespace]),
        pod_selector=_Selector(match_labels=selector_labels(fleet, "api")),
    )
    return _Spec(
        pod_selector=_Selector(match_labels={GATEWAY_LABEL: waypoint}),
        policy_types=["Egress"],
        egress=[
            k8s.networking.v1.NetworkPolicyEgressRuleArgs(to=[istiod], ports=[_port(ISTIOD_PORT)]),
            k8s.networking.v1.NetworkPolicyEgressRuleArgs(to=[pools, api], ports=[_port(MESH_PORT)]),
        ],
    )


def ingress_from_waypoints(waypoint: str, pods: dict[str, str], namespaces: list[str] | None = None) -> _Spec:
    """From the waypoints of these namespaces, or of the policy's own, to the pods with these labels."""
    peer = _Peer(
        namespace_selector=None if namespaces is None else namespaces_named(namespaces),
        pod_selector=_Selector(match_labels={GATEWAY_LABEL: waypoint}),
    )
    return _Spec(
        pod_selector=_Selector(match_labels=pods),
        policy_types=["Ingress"],
        ingress=[k8s.networking.v1.NetworkPolicyIngressRuleArgs(from_=[peer], ports=[_port(MESH_PORT)])],
    )


def _port(number: int) -> k8s.networking.v1.NetworkPolicyPortArgs:
    return k8s.networking.v1.NetworkPolicyPortArgs(port=number, protocol="TCP")
