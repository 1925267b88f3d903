"""The ways in to the fleet's API: within the cluster, by a port of the nodes, an Ingress or a Gateway."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.execution_workloads import API_PORT, METRICS_PORT
from agent_fleet.kubernetes import mesh_traffic, traffic
from agent_fleet.kubernetes.agent_routing import WAYPOINT
from agent_fleet.kubernetes.fleet_api_args import FleetApiArgs
from agent_fleet.kubernetes.object_labels import metadata
from agent_fleet.kubernetes.rollout import Placement

EXPOSURES = ("cluster_ip", "node_port", "ingress", "gateway")
DEFAULT_NODE_PORT = 30080
DEFAULT_TLS_SECRET = "api-tls"  # noqa: S105 - the name of an object
ISSUER_ANNOTATION = "cert-manager.io/cluster-issuer"


def check_exposure(args: FleetApiArgs) -> None:
    """Raise ValueError for a way in that is none, lacks what it needs, or would carry keys in the clear."""
    exposure = args["exposure"]
    if exposure not in EXPOSURES:
        raise ValueError(f"exposure is {exposure!r}; allowed are {', '.join(EXPOSURES)}")
    if exposure not in ("ingress", "gateway"):
        return
    needed = ["host", "client_namespaces", *(["gateway"] if exposure == "gateway" else [])]
    missing = [field for field in needed if not args.get(field)]
    if missing:
        raise ValueError(
            f"exposure is {exposure!r} without {', '.join(missing)}: give the host's name, "
            "and in client_namespaces the namespace that the traffic comes from"
            + (", and the Gateway" if "gateway" in missing else "")
        )
    if exposure == "ingress" and not _tls_secret(args) and not args.get("plain_http_ingress_allowed", False):
        raise ValueError(
            "exposure is 'ingress' and neither tls_secret nor issuer is given: API keys and code would cross the "
            "network readable. Name a TLS secret or a cert-manager ClusterIssuer"
        )


def service_spec(args: FleetApiArgs, selector: Mapping[str, str]) -> k8s.core.v1.ServiceSpecArgs:
    """The API's Service: port 80, and with `node_port` a port of every node."""
    on_nodes = args["exposure"] == "node_port"
    return k8s.core.v1.ServiceSpecArgs(
        type="NodePort" if on_nodes else "ClusterIP",
        selector=dict(selector),
        ports=[
            k8s.core.v1.ServicePortArgs(
                name="http",
                port=80,
                target_port="http",
                protocol="TCP",
                app_protocol="http",
                node_port=args.get("node_port", DEFAULT_NODE_PORT) if on_nodes else None,
            )
        ],
    )


def api_policies(args: FleetApiArgs, placement: Placement) -> list[k8s.networking.v1.NetworkPolicy]:
    """Let in those that the API serves, and nobody else."""
    mesh = args.get("ambient_mesh_enabled", False)
    clients, watchers = list(args.get("client_namespaces", ())), list(args.get("metrics_from_namespaces", ()))
    specs: dict[str, k8s.networking.v1.NetworkPolicySpecArgs] = {}
    if args["exposure"] == "node_port":
        specs["allow-clients-of-api"] = traffic.ingress_from_anywhere([API_PORT], placement.selector, mesh=mesh)
    elif clients:
        specs["allow-clients-of-api"] = traffic.ingress_from_namespaces(
            clients, [API_PORT], pods=placement.selector, mesh=mesh
        )
    if waypoints := list(args.get("waypoint_namespaces", ())):
        specs["allow-waypoints-to-api"] = mesh_traffic.ingress_from_waypoints(
            WAYPOINT, dict(placement.selector), waypoints
        )
    if watchers:
        specs["allow-metrics-of-api"] = traffic.ingress_from_namespaces(
            watchers, [METRICS_PORT], pods=placement.selector, mesh=mesh
        )
    return [
        k8s.networking.v1.NetworkPolicy(
            f"{placement.resource_name}-{name}",
            metadata=metadata(name, placement.namespace, placement.labels),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=placement.parent),
        )
        for name, spec in specs.items()
    ]


def api_way_in(args: FleetApiArgs, placement: Placement, service: pulumi.Resource) -> list[pulumi.Resource]:
    """The Ingress or the route of a Gateway, where there is to be one."""
    options = pulumi.ResourceOptions(parent=placement.parent, depends_on=[service])
    if args["exposure"] == "ingress":
        return [_ingress(args, placement, options)]
    if args["exposure"] == "gateway":
        return [_route(args, placement, options)]
    return []


def api_url(args: FleetApiArgs) -> pulumi.Output[str]:
    """Where the API answers: for clients outside of the cluster, or inside with `cluster_ip`."""
    exposure = args["exposure"]
    if exposure == "cluster_ip":
        return pulumi.Output.concat("http://api.", args["namespace"], ".svc")
    if exposure == "node_port":
        port = args.get("node_port", DEFAULT_NODE_PORT)
        return pulumi.Output.concat("http://", args.get("node_address", "127.0.0.1"), f":{port}")
    encrypted = exposure == "gateway" or _tls_secret(args) is not None
    return pulumi.Output.from_input(f"{'https' if encrypted else 'http'}://{args.get('host')}")


def _tls_secret(args: FleetApiArgs) -> str | None:
    return args.get("tls_secret", DEFAULT_TLS_SECRET if "issuer" in args else None)


def _ingress(args: FleetApiArgs, placement: Placement, options: pulumi.ResourceOptions) -> k8s.networking.v1.Ingress:
    host, secret = args.get("host", ""), _tls_secret(args)
    backend = k8s.networking.v1.IngressBackendArgs(
        service=k8s.networking.v1.IngressServiceBackendArgs(
            name=placement.name, port=k8s.networking.v1.ServiceBackendPortArgs(name="http")
        )
    )
    annotations = {ISSUER_ANNOTATION: args["issuer"]} if "issuer" in args else None
    return k8s.networking.v1.Ingress(
        placement.resource_name,
        metadata=metadata(placement.name, placement.namespace, placement.labels, annotations),
        spec=k8s.networking.v1.IngressSpecArgs(
            ingress_class_name=args.get("ingress_class"),
            tls=None if secret is None else [k8s.networking.v1.IngressTLSArgs(hosts=[host], secret_name=secret)],
            rules=[
                k8s.networking.v1.IngressRuleArgs(
                    host=host,
                    http=k8s.networking.v1.HTTPIngressRuleValueArgs(
                        paths=[k8s.networking.v1.HTTPIngressPathArgs(path="/", path_type="Prefix", backend=backend)]
                    ),
                )
            ],
        ),
        opts=options,
    )


def _route(
    args: FleetApiArgs, placement: Placement, options: pulumi.ResourceOptions
) -> k8s.apiextensions.CustomResource:
    gateway = args.get("gateway")
    if gateway is None:
        raise ValueError("exposure is 'gateway' and gateway is missing: name the Gateway and its namespace")
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    parent |= {"name": gateway["name"], "namespace": gateway["namespace"]}
    if "section" in gateway:
        parent["sectionName"] = gateway["section"]
    return k8s.apiextensions.CustomResource(
        placement.resource_name,
        api_version="gateway.networking.k8s.io/v1",
        kind="HTTPRoute",
        metadata=metadata(placement.name, placement.namespace, placement.labels),
        spec={
            "parentRefs": [parent],
            "hostnames": [args.get("host", "")],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"kind": "Service", "name": placement.name, "port": 80}],
                }
            ],
        },
        opts=options,
    )
