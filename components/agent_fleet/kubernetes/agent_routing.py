"""How a team's requests find the pool of their agent type: Istio's routing, limits, encryption and callers."""

import re
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.execution_workloads import METRICS_PORT, WORKER_METRICS_PORT
from agent_fleet.kubernetes.agent_routing_args import AgentRoutingArgs, RouteArgs
from agent_fleet.kubernetes.object_labels import metadata, object_labels
from agent_fleet.kubernetes.route_rules import pool_policy, request_routes

AMBIENT = "ambient"
ISTIO_CNI = "istio-cni"
MODES = (AMBIENT, ISTIO_CNI)
ROLE = "routing"
ENTRY = "agents"
"""The Service that a team's clients call. It has no pods of its own: without the mesh nothing answers there, rather
than a pool of the wrong type."""
WAYPOINT = "waypoint"

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class AgentRouting(pulumi.ComponentResource):
    """One name for all agents of a team; the header `agent-type` says which pool a request is for."""

    host: pulumi.Output[str]
    """Where clients in the mesh send requests, on port 80."""

    def __init__(self, name: str, args: AgentRoutingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the routing; see `AgentRoutingArgs`. Raises ValueError for a route to a pool that does not exist."""
        super().__init__("agent-fleet:index:AgentRouting", name, {}, opts)
        mode = args.get("mode", AMBIENT)
        if mode not in MODES:
            raise ValueError(f"mode is {mode!r}; Istio's mode is one of: {', '.join(MODES)}.")
        check_routes(args["routes"], args["pools"])
        fleet, namespace = args["fleet"], args["namespace"]
        self._namespace = namespace
        self._labels = object_labels(fleet, ROLE, team=args["team"])
        namespace_name = args.get("namespace_name", f"{fleet}-{args['team']}")
        host = f"{ENTRY}.{namespace_name}.svc.cluster.local"
        entry = self._entry(name, mode)
        gate: list[pulumi.Resource] = [entry]
        if mode == AMBIENT:
            gate.append(self._waypoint(name))
        gate += self._callers(name, mode, [namespace_name, *args.get("caller_namespaces", [fleet])], args)
        gate += [
            self._custom(
                f"{name}-{service}",
                "networking.istio.io/v1",
                "DestinationRule",
                service,
                {
                    "host": f"{service}.{namespace_name}.svc.cluster.local",
                    "trafficPolicy": pool_policy(args.get("connection_limits", {}), sidecars=mode == ISTIO_CNI),
                },
            )
            for service in args["pools"]
        ]
        gateways = list(args.get("gateways", []))
        spec: dict[str, Any] = {
            "hosts": [host, *args.get("hosts", [])],
            "http": request_routes(args["routes"], namespace_name, args["default_service"], args.get("delay")),
        }
        if gateways:
            # Naming a gateway takes the routes away from clients inside, unless the mesh is named beside it.
            spec["gateways"] = ["mesh", *gateways]
        # Last: until the limits and the callers' list are there, no request may be sent.
        self._custom(name, "networking.istio.io/v1", "VirtualService", ENTRY, spec, gate)
        self.host = pulumi.Output.from_input(host)
        self.register_outputs({"host": self.host})

    def _entry(self, name: str, mode: str) -> pulumi.Resource:
        labels = {**self._labels, "istio.io/use-waypoint": WAYPOINT} if mode == AMBIENT else self._labels
        return k8s.core.v1.Service(
            f"{name}-{ENTRY}",
            # It never has endpoints, for which Pulumi would wait.
            metadata=metadata(ENTRY, self._namespace, labels, {"pulumi.com/skipAwait": "true"}),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="ClusterIP",
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=80, target_port=8080, app_protocol="http")],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _waypoint(self, name: str) -> pulumi.Resource:
        return self._custom(
            f"{name}-{WAYPOINT}",
            "gateway.networking.k8s.io/v1",
            "Gateway",
            WAYPOINT,
            {
                "gatewayClassName": "istio-waypoint",
                "listeners": [
                    {
                        "name": "mesh",
                        "port": 15008,
                        "protocol": "HBONE",
                        "allowedRoutes": {"namespaces": {"from": "Same"}},
                    }
                ],
            },
            labels={"istio.io/waypoint-for": "service"},
        )

    def _callers(
        self, name: str, mode: str, namespaces: Sequence[str], args: AgentRoutingArgs
    ) -> list[pulumi.Resource]:
        rules: list[dict[str, Any]] = [_from(namespaces)]
        # Metrics are read from the pods themselves, past the waypoint.
        metrics = {"operation": {"ports": [str(METRICS_PORT), str(WORKER_METRICS_PORT)]}}
        watchers = list(args.get("metrics_namespaces", ()))
        found = [
            self._custom(
                f"{name}-encryption",
                "security.istio.io/v1",
                "PeerAuthentication",
                # One of this name and without a selector holds for the whole namespace.
                "default",
                {"mtls": {"mode": "STRICT"}},
            ),
            self._custom(
                f"{name}-callers",
                "security.istio.io/v1",
                "AuthorizationPolicy",
                "callers",
                {"action": "ALLOW", "rules": [*rules, *([{**_from(watchers), "to": [metrics]}] if watchers else [])]},
            ),
        ]
        if mode == AMBIENT:
            # A pod sees the waypoint as its caller, so it is the waypoint that must ask who called.
            target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": WAYPOINT}
            found.append(
                self._custom(
                    f"{name}-{WAYPOINT}-callers",
                    "security.istio.io/v1",
                    "AuthorizationPolicy",
                    f"{WAYPOINT}-callers",
                    {"action": "ALLOW", "targetRefs": [target], "rules": rules},
                )
            )
        return found

    def _custom(
        self,
        name: str,
        api_version: str,
        kind: str,
        object_name: str,
        spec: dict[str, Any],
        depends_on: Sequence[pulumi.Resource] = (),
        labels: dict[str, str] | None = None,
    ) -> pulumi.Resource:
        return k8s.apiextensions.CustomResource(
            name,
            api_version=api_version,
            kind=kind,
            metadata=metadata(object_name, self._namespace, {**self._labels, **(labels or {})}),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(depends_on)),
        )


def _from(namespaces: Sequence[str]) -> dict[str, Any]:
    return {"from": [{"source": {"namespaces": list(dict.fromkeys(namespaces))}}]}


def check_routes(routes: Sequence[RouteArgs], pools: Sequence[str]) -> None:
    """Raise ValueError for a route that leads nowhere, that stands twice, or whose name no header can carry."""
    known = ", ".join(sorted(pools)) or "none"
    seen: set[str] = set()
    for route in routes:
        agent_type = route["agent_type"]
        if not _LABEL.fullmatch(agent_type):
            raise ValueError(
                f"routes: the agent type {agent_type!r} is no name; it is small letters, digits and hyphens, up to 63."
            )
        if route["service"] not in pools:
            raise ValueError(
                f"routes: the agent type {agent_type!r} is routed to {route['service']!r}, which is no pool here; "
                f"the pools are: {known}."
            )
        if agent_type in seen:
            raise ValueError(f"routes: the agent type {agent_type!r} stands twice; each has one route.")
        seen.add(agent_type)
