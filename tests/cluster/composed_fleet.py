"""A fleet of every component with every option that changes what is declared, for the judges."""

from typing import Any

import pulumi
from agent_fleet import (
    AgentPool,
    AgentRouting,
    ClusterDatabase,
    ClusterRedis,
    DoorbellArgs,
    FleetApi,
    ImagePrepull,
    NodeAutoscaler,
    Platform,
    PoolAutoscaler,
    TenantNamespace,
    WorkspaceClaim,
)

DIGEST = "sha256:" + "a" * 64
RUNTIME = f"registry.example/agent-fleet/runtime@{DIGEST}"
SANDBOX = f"registry.example/agent-fleet/sandbox@{DIGEST}"
POSTGRES = f"registry.example/agent-fleet/postgres@{DIGEST}"
REDIS = f"registry.example/agent-fleet/redis@{DIGEST}"
TYPES = ("implementation", "testing", "security", "documentation")
RUNTIME_CLASS = "judged-gvisor"
"""Of pods in gVisor. Whoever asks an API server about them makes it."""


def everything(fleet: str) -> pulumi.Output[Any]:
    """Declare it all: a team whose pools follow CPU in an ambient mesh, and one whose pools follow jobs in gVisor."""
    Platform(
        "platform",
        {
            "istio": "install",
            "keda": "install",
            "karpenter": "install",
            "karpenter_settings": {"cluster_name": fleet, "interruption_queue": fleet},
        },
    )
    _nodes(fleet)
    system = TenantNamespace(
        fleet, {"fleet": fleet, "team": fleet, "name": fleet, "purpose": "system", "ambient_mesh_enabled": True}
    )
    teams = ("alpha", "beta")
    database = ClusterDatabase(
        f"{fleet}-database",
        {
            "fleet": fleet,
            "namespace": system.namespace,
            "image": POSTGRES,
            "client_namespaces": [fleet, *(f"{fleet}-{team}" for team in teams)],
        },
    )
    redis = ClusterRedis(
        f"{fleet}-redis",
        {
            "fleet": fleet,
            "namespace": system.namespace,
            "image": REDIS,
            "client_namespaces": [fleet, *(f"{fleet}-{team}" for team in teams)],
            "ambient_mesh_enabled": True,
        },
    )
    doorbell: DoorbellArgs = {"kind": "redis", "url": redis.url}
    ImagePrepull(
        f"{fleet}-images",
        {"fleet": fleet, "namespace": system.namespace, "images": [RUNTIME, SANDBOX], "tolerate_untrusted": True},
    )
    routes: list[Any] = [
        {"tenant": team, "agent_type": each, "template": f"{team}-{each}", "default": each == "testing"}
        for team in teams
        for each in TYPES
    ]
    FleetApi(
        f"{fleet}-api",
        {
            "fleet": fleet,
            "namespace": system.namespace,
            "image": RUNTIME,
            "database_url": database.url,
            "doorbell": doorbell,
            "pools": routes,
            "teams": list(teams),
            "exposure": "ingress",
            "host": "fleet.example",
            "client_namespaces": ["ingress-nginx"],
            "ingress_class": "nginx",
            "issuer": "letsencrypt",
        },
    )
    _team(fleet, "alpha", database.url, doorbell, kind="hpa", mode="ambient")
    _team(fleet, "beta", database.url, doorbell, kind="keda", mode="istio-cni")
    return pulumi.Output.from_input(fleet)


def _nodes(fleet: str) -> None:
    for untrusted in (True, False):
        NodeAutoscaler(
            f"{fleet}-{'untrusted' if untrusted else 'trusted'}",
            {
                "fleet": fleet,
                "cluster_name": fleet,
                "untrusted": untrusted,
                "instance_profile": f"{fleet}-karpenter-nodes",
                "subnet_ids": ["subnet-1", "subnet-2"],
                "security_group_ids": ["sg-1"],
                "kms_key_arn": "arn:aws:kms:eu-central-1:123456789012:key/1",
            },
        )


def _team(
    fleet: str, team: str, database_url: pulumi.Output[str], doorbell: DoorbellArgs, *, kind: str, mode: str
) -> None:
    name = f"{fleet}-{team}"
    ambient = mode == "ambient"
    pools = TenantNamespace(
        name,
        {
            "fleet": fleet,
            "team": team,
            "name": name,
            "purpose": "pools",
            "ambient_mesh_enabled": ambient,
            "ingress_from_namespaces": [fleet],
            "database_namespace": fleet,
            "redis_namespace": fleet,
            "quota": {
                "requests_cpu": "40",
                "requests_memory": "40Gi",
                "limits_cpu": "80",
                "limits_memory": "80Gi",
                "services": 6,
            },
        },
    )
    sandboxes = TenantNamespace(
        f"{name}-sandboxes",
        {"fleet": fleet, "team": team, "name": f"{name}-sandboxes", "purpose": "sandboxes"},
    )
    claim = WorkspaceClaim(
        f"{name}-workspace", {"fleet": fleet, "team": team, "namespace": pools.namespace, "storage_class": "shared"}
    )
    services: list[str] = []
    for agent_type in TYPES:
        sandbox: Any = {"image": SANDBOX, "untrusted_nodes": True}
        if not ambient:
            sandbox["runtime_class"] = RUNTIME_CLASS
        pool = AgentPool(
            f"{name}-{agent_type}",
            {
                "fleet": fleet,
                "team": team,
                "agent_type": agent_type,
                "namespace": pools.namespace,
                "image": RUNTIME,
                "database_url": database_url,
                "doorbell": doorbell,
                "sandbox": sandbox,
                "sandbox_namespace": sandboxes.namespace,
                "workspace_claim": claim.claim_name,
            },
        )
        services.append(agent_type)
        arguments: Any = {
            "fleet": fleet,
            "team": team,
            "pool": agent_type,
            "namespace": pools.namespace,
            "deployment": pool.deployment_name,
            "kind": kind,
        }
        if kind == "keda":
            arguments["keda"] = {"database_secret": {"name": agent_type}, "template": f"{team}-{agent_type}"}
            arguments["minimum"] = 0
        PoolAutoscaler(f"{name}-{agent_type}-autoscaler", arguments)
    AgentRouting(
        f"{name}-routing",
        {
            "fleet": fleet,
            "team": team,
            "namespace": pools.namespace,
            "routes": [{"agent_type": each, "service": each, "scales_to_zero": kind == "keda"} for each in services],
            "pools": services,
            "default_service": f"api.{fleet}.svc.cluster.local",
            "mode": mode,
            "hosts": [f"{team}.example"],
            "gateways": ["istio-ingress/public"],
            "caller_namespaces": [fleet, "istio-ingress"],
            "delay": {},
        },
    )
