"""A namespace of a fleet: nothing can be declared in it before its quota, its limits and its denial of traffic exist."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class QuotaArgs(TypedDict, total=False):
    """The most that all pods of a namespace may take together. Defaults for a pools' namespace: H8."""

    requests_cpu: str
    """Default "4"."""
    requests_memory: str
    """Default "8Gi"."""
    limits_cpu: str
    """Default "8"."""
    limits_memory: str
    """Default "16Gi"."""
    persistent_volume_claims: int
    """Default 10; none in a sandboxes' namespace."""
    services: int
    """Default 5; none in a sandboxes' namespace."""
    pods: int
    """Default: not limited."""


class ContainerLimitsArgs(TypedDict, total=False):
    """What one container may take, and what it gets if it does not say. Defaults for a pools' namespace: H8."""

    default_cpu: str
    """Default "500m"."""
    default_memory: str
    """Default "512Mi"."""
    default_request_cpu: str
    """Default "250m"."""
    default_request_memory: str
    """Default "256Mi"."""
    maximum_cpu: str
    """Default "2"."""
    maximum_memory: str
    """Default "2Gi"."""
    minimum_cpu: str
    """Default "100m"; "10m" elsewhere than in a pools' namespace."""
    minimum_memory: str
    """Default "128Mi"; "16Mi" elsewhere than in a pools' namespace."""


class EgressArgs(TypedDict):
    """An address outside of the cluster's own that a namespace's pods may connect to."""

    cidr: str
    """The addresses. The metadata addresses (169.254.0.0/16) are always taken out of it."""
    ports: list[int]
    """TCP ports."""


class TenantNamespaceArgs(TypedDict):
    """What a namespace is for, and how much it may hold."""

    fleet: str
    """The fleet's name, for the labels."""
    name: str
    """The namespace's own name."""
    team: str
    """The team that it belongs to; the fleet's name for its system namespace."""
    purpose: str
    """`pools` (a team's trusted programs), `sandboxes` (strangers' code: nothing in, nothing out) or `system`."""
    quota: NotRequired[QuotaArgs]
    """What differs from the purpose's defaults."""
    limits: NotRequired[ContainerLimitsArgs]
    """What differs from the purpose's defaults."""
    ingress_from_namespaces: NotRequired[Sequence[str]]
    """Namespaces whose pods may reach port 8080: ingress, mesh, the fleet's system namespace. Default: none."""
    metrics_from_namespaces: NotRequired[Sequence[str]]
    """Namespaces whose pods may read the metrics (9090, 9091). Default: none."""
    database_namespace: NotRequired[str]
    """The namespace of the fleet's own PostgreSQL, if it is in the cluster."""
    database_cidrs: NotRequired[Sequence[str]]
    """The addresses of a PostgreSQL outside of the cluster, for example the VPC's subnets of RDS."""
    api_server_cidrs: NotRequired[Sequence[str]]
    """Where the workers reach the API server (443, 6443). Default: every private range."""
    pod_identity_enabled: NotRequired[bool]
    """Whether the pods may reach EKS Pod Identity's agent (169.254.170.23). Default: no."""
    ambient_mesh_enabled: NotRequired[bool]
    """Whether the namespace is in Istio's ambient mesh, whose traffic comes on port 15008. Default: no."""
    egress: NotRequired[list[EgressArgs]]
    """What else the pods may connect to. Default: nothing."""


class TenantNamespace(pulumi.ComponentResource):
    """Namespace at Pod Security `restricted`, with quota, limits and a denial of all traffic that is not listed."""

    namespace: pulumi.Output[str]
    """The namespace's name, once all that guards it is there: whatever takes it cannot start before."""

    def __init__(self, name: str, args: TenantNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the namespace and its guards; see `TenantNamespaceArgs`."""
        super().__init__("agent-fleet:index:TenantNamespace", name, {}, opts)
        self.namespace = pulumi.Output.from_input(args["name"])
        self.register_outputs({"namespace": self.namespace})
