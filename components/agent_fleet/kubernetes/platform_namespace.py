"""A namespace for the platform's charts: its Pod Security level, what may be made in it, and open traffic."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

ISTIO_QUOTA: Mapping[str, str] = {
    "count/deployments.apps": "5",
    "count/daemonsets.apps": "5",
    "count/statefulsets.apps": "0",
    "persistentvolumeclaims": "0",
}
"""The charts make one Deployment and two DaemonSets; a limit of pods would be one of nodes."""
KEDA_QUOTA: Mapping[str, str] = {
    "pods": "20",
    "persistentvolumeclaims": "0",
    "services.loadbalancers": "0",
    "services.nodeports": "0",
}
"""The chart makes three Deployments of two pods, which an update doubles at most."""
_DEFAULT_REQUESTS = {"cpu": "10m", "memory": "16Mi"}


def declare_platform_namespace(
    name: str, namespace: str, level: str, quota: Mapping[str, str], options: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Declare it; gives what has to be there before anything is installed in it."""
    declared = k8s.core.v1.Namespace(
        name,
        metadata={
            "name": namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "pulumi",
                "app.kubernetes.io/part-of": "agent-fleet",
                "pod-security.kubernetes.io/enforce": level,
                "pod-security.kubernetes.io/warn": level,
            },
        },
        opts=options,
    )
    inside = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[declared]))
    # Where the network denies what no policy allows (EKS's CNI in strict mode), the release would never be ready.
    traffic = k8s.networking.v1.NetworkPolicy(
        name,
        metadata={"name": "agent-fleet-platform", "namespace": namespace},
        spec={
            "pod_selector": {},
            "policy_types": ["Ingress", "Egress"],
            "ingress": [{}],
            "egress": [{}],
        },
        opts=inside,
    )
    # Counts only: a quota of CPU or memory refuses every container that names no limit, and the charts' have none.
    most = k8s.core.v1.ResourceQuota(
        f"{name}-quota",
        metadata={"name": "agent-fleet-platform", "namespace": namespace},
        spec={"hard": dict(quota)},
        opts=inside,
    )
    least = k8s.core.v1.LimitRange(
        f"{name}-limits",
        metadata={"name": "agent-fleet-platform", "namespace": namespace},
        spec={"limits": [{"type": "Container", "default_request": dict(_DEFAULT_REQUESTS)}]},
        opts=inside,
    )
    return [traffic, most, least]
