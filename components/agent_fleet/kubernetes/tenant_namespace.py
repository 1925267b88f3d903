"""A namespace of a fleet: its name is only given out once its quota, its limits and its denial of traffic exist."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.execution_workloads import API_PORT, METRICS_PORT, WORKER_METRICS_PORT
from agent_fleet.kubernetes import mesh_traffic, traffic
from agent_fleet.kubernetes.namespace_limits import ContainerLimitsArgs, QuotaArgs, container_limits, quota_hard
from agent_fleet.kubernetes.object_labels import PURPOSE_LABEL, metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.pod_security import POD_SECURITY


class EgressArgs(TypedDict):
    """An address outside of the cluster's own that a namespace's pods may connect to."""

    cidr: str
    """The addresses. The metadata addresses (169.254.0.0/16) are always taken out of it."""
    ports: list[int]
    """TCP ports."""


class CollectorArgs(TypedDict):
    """A collector of spans inside the cluster."""

    namespace: str
    """Where it runs."""
    port: int
    """The TCP port that its pods listen on."""


class WaypointArgs(TypedDict):
    """The pod through which Istio's ambient mesh routes a team's requests."""

    name: str
    """The Gateway's name: `waypoint`, where an `AgentRouting` declares it."""
    api_namespace: str
    """The namespace of the fleet's API, which takes the requests that are for no pool."""


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
    """Namespaces whose pods may reach the pools' API (8080): ingress, mesh, the fleet's own. Default: none. In a
    system namespace each component lets in whom it serves."""
    metrics_from_namespaces: NotRequired[Sequence[str]]
    """Namespaces whose pods may read the metrics (9090, 9091). Default: none."""
    database_namespace: NotRequired[str]
    """The namespace of the fleet's own PostgreSQL, if it is in the cluster."""
    database_cidrs: NotRequired[Sequence[str]]
    """The addresses of a PostgreSQL outside of the cluster, for example the VPC's subnets of RDS."""
    redis_namespace: NotRequired[str]
    """The namespace of the fleet's own Redis, where that is its doorbell. Default: none."""
    api_server_cidrs: NotRequired[Sequence[str]]
    """Where the workers reach the API server. Default: every private range."""
    api_server_ports: NotRequired[Sequence[int]]
    """Its ports there, which are not always those of the Service in front of it. Default: 443 and 6443."""
    pod_identity_enabled: NotRequired[bool]
    """Whether the pods may reach EKS Pod Identity's agent (169.254.170.23). Default: no."""
    ambient_mesh_enabled: NotRequired[bool]
    """Whether the namespace is in Istio's ambient mesh, whose traffic comes on port 15008. Default: no."""
    waypoint: NotRequired[WaypointArgs]
    """The waypoint in the namespace, for `pools` in the ambient mesh. Default: none."""
    collector: NotRequired[CollectorArgs]
    """The collector inside the cluster that the pods send spans to. Default: none."""
    egress: NotRequired[list[EgressArgs]]
    """What else the pods may connect to. Default: nothing."""


POOLS, SANDBOXES, SYSTEM = "pools", "sandboxes", "system"
_NOT_FOR_SANDBOXES = (
    "ingress_from_namespaces",
    "metrics_from_namespaces",
    "database_namespace",
    "database_cidrs",
    "redis_namespace",
    "api_server_cidrs",
    "pod_identity_enabled",
    "ambient_mesh_enabled",
    "waypoint",
    "collector",
    "egress",
)


class TenantNamespace(pulumi.ComponentResource):
    """Namespace at Pod Security `restricted`, with quota, limits and a denial of all traffic that is not listed."""

    namespace: pulumi.Output[str]
    """The namespace's name, once all that guards it is there: whatever takes it cannot start before."""

    def __init__(self, name: str, args: TenantNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the namespace and its guards; see `TenantNamespaceArgs`.

        Raises ValueError for an unknown purpose, and for anything that would open a sandboxes' namespace.
        """
        super().__init__("agent-fleet:index:TenantNamespace", name, {}, opts)
        purpose = _checked_purpose(args)
        labels = object_labels(args["fleet"], "namespace", team=args["team"])
        namespace = k8s.core.v1.Namespace(
            name,
            metadata=metadata(
                args["name"], None, {**labels, PURPOSE_LABEL: purpose, **POD_SECURITY, **_mesh_membership(args)}
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        quota = k8s.core.v1.ResourceQuota(
            f"{name}-quota",
            metadata=metadata("quota", args["name"], labels),
            spec=k8s.core.v1.ResourceQuotaSpecArgs(hard=quota_hard(purpose, args.get("quota", {}))),
            opts=inside,
        )
        limits = k8s.core.v1.LimitRange(
            f"{name}-limits",
            metadata=metadata("limits", args["name"], labels),
            spec=k8s.core.v1.LimitRangeSpecArgs(limits=[container_limits(purpose, args.get("limits", {}))]),
            opts=inside,
        )
        policies = [
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{policy_name}", metadata=metadata(policy_name, args["name"], labels), spec=spec, opts=inside
            )
            for policy_name, spec in _policies(purpose, args).items()
        ]
        self.namespace = once_there(args["name"], [namespace, quota, limits, *policies])
        self.register_outputs({"namespace": self.namespace})


def _mesh_membership(args: TenantNamespaceArgs) -> dict[str, str]:
    # Without the label ztunnel takes none of its traffic, and the routing's policies hold for nothing.
    return {"istio.io/dataplane-mode": "ambient"} if args.get("ambient_mesh_enabled", False) else {}


def _checked_purpose(args: TenantNamespaceArgs) -> str:
    purpose = args["purpose"]
    if purpose not in (POOLS, SANDBOXES, SYSTEM):
        raise ValueError(f"purpose of namespace {args['name']} is {purpose!r}; allowed are pools, sandboxes and system")
    if purpose == SANDBOXES:
        opened = [field for field in _NOT_FOR_SANDBOXES if args.get(field)]
        if opened:
            raise ValueError(
                f"namespace {args['name']} is for sandboxes and was given {', '.join(opened)}: nothing may reach "
                "strangers' code, and it may reach nothing; leave them out"
            )
    return purpose


def _policies(purpose: str, args: TenantNamespaceArgs) -> dict[str, k8s.networking.v1.NetworkPolicySpecArgs]:
    found = {"deny-all": traffic.denial()}
    if purpose == SANDBOXES:
        return found
    mesh = args.get("ambient_mesh_enabled", False)
    found["allow-dns"] = traffic.dns()
    if watchers := list(args.get("metrics_from_namespaces", ())):
        ports = [METRICS_PORT, WORKER_METRICS_PORT]
        found["allow-metrics"] = traffic.ingress_from_namespaces(watchers, ports, mesh=mesh)
    if clients := list(args.get("ingress_from_namespaces", ())):
        found["allow-api"] = traffic.ingress_from_namespaces(clients, [API_PORT], mesh=mesh)
    database_namespace, database_cidrs = args.get("database_namespace"), list(args.get("database_cidrs", ()))
    if database_namespace or database_cidrs:
        found["allow-database"] = traffic.database(args["fleet"], database_namespace, database_cidrs, mesh=mesh)
    if (redis_namespace := args.get("redis_namespace")) is not None:
        found["allow-redis"] = traffic.redis(args["fleet"], redis_namespace, mesh=mesh)
    if purpose == POOLS:
        found["allow-api-server"] = traffic.to_addresses(
            list(args.get("api_server_cidrs") or traffic.PRIVATE_RANGES),
            list(args.get("api_server_ports") or traffic.API_SERVER_PORTS),
        )
    if args.get("pod_identity_enabled", False):
        found["allow-pod-identity"] = traffic.pod_identity()
    if mesh:
        found["allow-mesh-probes"] = traffic.mesh_probes()
    if (waypoint := args.get("waypoint")) is not None:
        name, pools = waypoint["name"], selector_labels(args["fleet"], "pool")
        found["allow-waypoint"] = mesh_traffic.waypoint_to_its_targets(args["fleet"], name, waypoint["api_namespace"])
        found["allow-from-waypoint"] = mesh_traffic.ingress_from_waypoints(name, pools)
    if (collector := args.get("collector")) is not None:
        found["allow-collector"] = traffic.to_namespace(collector["namespace"], collector["port"], mesh=mesh)
    for number, egress in enumerate(args.get("egress", []), start=1):
        found[f"allow-egress-{number}"] = traffic.to_addresses([egress["cidr"]], list(egress["ports"]))
    return found
