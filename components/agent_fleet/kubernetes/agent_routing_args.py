"""What an `AgentRouting` is given, field by field, with its defaults."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class RouteArgs(TypedDict):
    """One agent type and the pool that serves it."""

    agent_type: str
    """The value of the header `agent-type`."""
    service: str
    """The pool's Service, in the routing's namespace."""
    scales_to_zero: NotRequired[bool]
    """Whether the pool may have no replica. Requests for it then go to the fleet's API, which queues them all the
    same: a Service without pods answers 503, and nothing would ever wake the pool. Default: no."""


class DelayArgs(TypedDict, total=False):
    """A delay put into a share of the requests, to see that callers bear it (H5)."""

    percent: float
    """The share of the requests. Default 0.1."""
    seconds: int
    """The delay. Default 5."""


class ConnectionLimitsArgs(TypedDict, total=False):
    """How much one pool is sent at once (H5)."""

    connections: int
    """TCP connections to one pool. Default 100."""
    pending_requests: int
    """Requests that wait for a connection. Default 50."""
    requests_per_connection: int
    """Requests after which a connection is closed. Default 10."""


class AgentRoutingArgs(TypedDict):
    """How a team's requests reach its pools. Istio must be there, and for `ambient` the Gateway API's definitions."""

    fleet: str
    """The fleet's name."""
    team: str
    """The team."""
    namespace: pulumi.Input[str]
    """The namespace of the team's pools."""
    namespace_name: NotRequired[str]
    """The same as a plain name, for host names. Default `<fleet>-<team>`."""
    routes: Sequence[RouteArgs]
    """The agent types."""
    pools: Sequence[str]
    """The Services of the team's pools, all of them: a route to any other is refused."""
    default_service: str
    """The host of the fleet's API, which takes what no route matches: `api.<fleet>.svc.cluster.local`."""
    hosts: NotRequired[Sequence[str]]
    """Host names from outside, beside the Service `agents` that is there in any case. Default: none."""
    gateways: NotRequired[Sequence[str]]
    """The Istio gateways, `namespace/name`, that serve those hosts. Default: none."""
    mode: NotRequired[str]
    """`ambient` (the default: a waypoint and the nodes' ztunnel) or `istio-cni` (side-cars)."""
    caller_namespaces: NotRequired[Sequence[str]]
    """Namespaces whose workloads may call: ingress, monitoring, clients. Default: the fleet's own."""
    metrics_namespaces: NotRequired[Sequence[str]]
    """Namespaces whose workloads may read the pods' metrics, and nothing else. They must be in the mesh. Default:
    none."""
    connection_limits: NotRequired[ConnectionLimitsArgs]
    """How much one pool is sent at once."""
    delay: NotRequired[DelayArgs]
    """A delay for a share of the requests. Default: none."""
