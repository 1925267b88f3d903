"""What a `FleetApi` is given, field by field, with its defaults."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from agent_fleet.doorbell import DoorbellArgs
from agent_fleet.execution_args import TenantBudgetArgs
from agent_fleet.kubernetes.agent_pool_args import ApiLimitsArgs, PodResourcesArgs


class PoolRouteArgs(TypedDict):
    """A pool that the fleet's API sends jobs to."""

    tenant: str
    """The team."""
    agent_type: str
    """What a request's header `agent-type` says."""
    template: str
    """The pool's template."""
    default: bool
    """Whether it takes the team's requests that name no agent type."""
    scales_from_zero: NotRequired[bool]
    """Whether queued jobs bring its workers up, so that none being there is no fault. Default: no."""


class GatewayArgs(TypedDict):
    """A Gateway of the cluster with an HTTPS listener, to which the API adds a route."""

    name: str
    """The Gateway's name."""
    namespace: str
    """Its namespace."""
    section: NotRequired[str]
    """The name of its HTTPS listener. Default: any of its listeners that fits the host."""


class FleetApiArgs(TypedDict):
    """The fleet's API: what it serves, to whom and how it is reached."""

    fleet: str
    """The fleet's name."""
    namespace: pulumi.Input[str]
    """A namespace of purpose `system`."""
    image: pulumi.Input[str]
    """The runtime image, by digest."""
    database_url: pulumi.Input[str]
    """The connection URL of the jobs database. A secret."""
    doorbell: NotRequired[DoorbellArgs]
    """What wakes the workers: the same for the whole fleet. Default: PostgreSQL."""
    pools: list[PoolRouteArgs]
    """The fleet's pools."""
    teams: list[str]
    """The teams; each gets an API key."""
    budgets: NotRequired[list[TenantBudgetArgs]]
    """The teams' budgets. Default: none."""
    replicas: NotRequired[pulumi.Input[int]]
    """Pods; with `autoscaled` those that it starts with. Default 2."""
    autoscaled: NotRequired[bool]
    """Whether an autoscaler decides on the number of pods. Default: no."""
    resources: NotRequired[PodResourcesArgs]
    """What one pod takes."""
    api: NotRequired[ApiLimitsArgs]
    """What it accepts."""
    longest_job_seconds: NotRequired[pulumi.Input[int]]
    """The longest time limit that a job may ask for. Default 3,600 (H7): no longer than the pools' longest job."""
    exposure: str
    """`cluster_ip`, `node_port`, `ingress` or `gateway`."""
    client_namespaces: NotRequired[Sequence[str]]
    """Namespaces whose pods may reach the API: the ingress controller's or the gateway's, and clients in the cluster.
    Default: none, and from anywhere with `node_port`."""
    metrics_from_namespaces: NotRequired[Sequence[str]]
    """Namespaces whose pods may read the metrics. Default: none."""
    ambient_mesh_enabled: NotRequired[bool]
    """Whether it is in Istio's ambient mesh, whose traffic comes on port 15008. Default: no."""
    waypoint_namespaces: NotRequired[Sequence[str]]
    """Namespaces of teams whose waypoint sends it what no pool takes, in the ambient mesh. Default: none."""
    host: NotRequired[str]
    """The host name, for `ingress` and `gateway`."""
    tls_secret: NotRequired[str]
    """A TLS secret in the namespace, for `ingress`. Default `api-tls` where there is an issuer."""
    issuer: NotRequired[str]
    """A cert-manager ClusterIssuer that makes the TLS secret, for `ingress`."""
    ingress_class: NotRequired[str]
    """The IngressClass, for `ingress`. Default: the cluster's own default."""
    plain_http_ingress_allowed: NotRequired[bool]
    """Whether an Ingress without TLS may be declared: keys and code then cross the network readable. Default: no."""
    gateway: NotRequired[GatewayArgs]
    """The Gateway, for `gateway`."""
    node_port: NotRequired[int]
    """The port on every node, for `node_port`. Default 30080."""
    node_address: NotRequired[pulumi.Input[str]]
    """A node's address, for the URL of `node_port`. Default 127.0.0.1."""
    image_pull_policy: NotRequired[str]
    """`IfNotPresent` (the default, images being named by digest), `Always`, or `Never` for imported images."""
    log_level: NotRequired[pulumi.Input[str]]
    """`debug`, `info` (the default), `warning` or `error`."""
    otlp_endpoint: NotRequired[pulumi.Input[str]]
    """The URL of a collector that takes spans by OTLP over HTTP; the namespace must allow it. Default: none."""
