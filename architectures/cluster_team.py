"""A team: its two namespaces, its workspace, its pools with their sandboxes, and the routing between them."""

from dataclasses import dataclass

import pulumi
from agent_fleet import (
    AgentPool,
    AgentPoolArgs,
    AgentRouting,
    PodSandboxArgs,
    PoolAutoscaler,
    PoolAutoscalerArgs,
    TenantNamespace,
    TenantNamespaceArgs,
    WorkspaceClaim,
    WorkspaceClaimArgs,
)
from agent_fleet.kubernetes.agent_routing import WAYPOINT

from architectures.cluster_system import FleetSystem, api_limits
from architectures.collector import open_way_to_collector
from architectures.foundation import Foundation
from architectures.images import ClusterImages
from architectures.names import (
    mebibytes,
    millicpus,
    pod_resources,
    pool_name,
    pools_namespace,
    quota_args,
    sandboxes_namespace,
    system_namespace,
)
from settings.capacity import pools_quota, sandboxes_quota
from settings.cluster_model import AgentType, Pool, Team
from settings.model import Settings


@dataclass(frozen=True)
class TeamPlace:
    """Where a team's objects go."""

    pools: pulumi.Output[str]
    sandboxes: pulumi.Output[str]
    workspace: pulumi.Output[str] | None
    after: pulumi.ResourceOptions


def declare_team(
    fleet: str,
    name: str,
    team: Team,
    settings: Settings,
    foundation: Foundation,
    images: ClusterImages,
    system: FleetSystem,
    on_cluster: pulumi.ResourceOptions,
) -> None:
    """Namespaces, workspace, then each pool, then the routing, which names only pools that exist."""
    place = TeamPlace(
        pools=TenantNamespace(
            pools_namespace(fleet, name),
            _pools_namespace_args(fleet, name, team, settings, foundation, system),
            opts=on_cluster,
        ).namespace,
        sandboxes=TenantNamespace(
            sandboxes_namespace(fleet, name), _sandboxes_namespace_args(fleet, name, team, settings), opts=on_cluster
        ).namespace,
        workspace=None,
        after=system.after_database,
    )
    if settings.workspace.enabled:
        claim = _workspace(fleet, name, settings, foundation, place, on_cluster)
        place = TeamPlace(place.pools, place.sandboxes, claim.claim_name, place.after)
    services: list[pulumi.Resource] = [
        _pool(fleet, name, agent_type, pool, settings, foundation, images, system, place)
        for agent_type, pool in team.pools.items()
    ]
    if settings.platform.istio != "off":
        _routing(fleet, name, team, settings, place, services)


def _pools_namespace_args(
    fleet: str, name: str, team: Team, settings: Settings, foundation: Foundation, system: FleetSystem
) -> TenantNamespaceArgs:
    limits, mesh = settings.container_limits, settings.platform.istio != "off"
    args: TenantNamespaceArgs = {
        "fleet": fleet,
        "name": pools_namespace(fleet, name),
        "team": name,
        "purpose": "pools",
        "quota": quota_args(pools_quota(settings, team)),
        "limits": {
            "minimum_cpu": millicpus(limits.minimum_cpus),
            "minimum_memory": mebibytes(limits.minimum_memory_mebibytes),
            "maximum_cpu": millicpus(limits.maximum_cpus),
            "maximum_memory": mebibytes(limits.maximum_memory_mebibytes),
        },
        "ingress_from_namespaces": [system_namespace(fleet), *settings.exposure.client_namespaces],
        "metrics_from_namespaces": settings.cluster.monitoring_namespaces,
        "pod_identity_enabled": foundation.pod_identity_enabled,
        "ambient_mesh_enabled": mesh,
    }
    if mesh:
        args["waypoint"] = {"name": WAYPOINT, "api_namespace": system_namespace(fleet)}
    if settings.doorbell.kind == "redis":
        args["redis_namespace"] = system_namespace(fleet)
    if system.database_cidrs:
        args["database_cidrs"] = system.database_cidrs
    else:
        args["database_namespace"] = system_namespace(fleet)
    open_way_to_collector(args, settings)
    return args


def _sandboxes_namespace_args(fleet: str, name: str, team: Team, settings: Settings) -> TenantNamespaceArgs:
    limits = settings.container_limits
    return {
        "fleet": fleet,
        "name": sandboxes_namespace(fleet, name),
        "team": name,
        "purpose": "sandboxes",
        "quota": quota_args(sandboxes_quota(settings, team)),
        "limits": {
            "maximum_cpu": millicpus(limits.maximum_sandbox_cpus),
            "maximum_memory": mebibytes(limits.maximum_sandbox_memory_mebibytes),
        },
    }


def _workspace(
    fleet: str,
    name: str,
    settings: Settings,
    foundation: Foundation,
    place: TeamPlace,
    on_cluster: pulumi.ResourceOptions,
) -> WorkspaceClaim:
    args: WorkspaceClaimArgs = {
        "fleet": fleet,
        "team": name,
        "namespace": place.pools,
        "access_mode": settings.workspace.access_mode,
        "storage": f"{settings.workspace.storage_gibibytes}Gi",
    }
    if foundation.workspace_class is not None:
        args["storage_class"] = foundation.workspace_class
    return WorkspaceClaim(f"{pools_namespace(fleet, name)}-workspace", args, opts=on_cluster)


def _pool(
    fleet: str,
    team: str,
    agent_type: str,
    pool: Pool,
    settings: Settings,
    foundation: Foundation,
    images: ClusterImages,
    system: FleetSystem,
    place: TeamPlace,
) -> pulumi.Resource:
    name, kind = pool_name(team, agent_type), settings.agent_types[agent_type]
    args: AgentPoolArgs = {
        "fleet": fleet,
        "team": team,
        "agent_type": agent_type,
        "namespace": place.pools,
        "image": images.runtime,
        "database_url": system.database_url,
        "template": name,
        "replicas": max(1, pool.minimum),
        "autoscaled": pool.autoscaler != "none",
        "resources": pod_resources(kind.requests, kind.limits),
        "api": api_limits(settings),
        "worker": {
            "concurrency": pool.concurrency,
            "warm": pool.warm,
            "longest_job_seconds": settings.limits.task_timeout_seconds,
            "lease_seconds": settings.workers.lease_seconds,
            "lease_renew_seconds": settings.workers.lease_renew_seconds,
        },
        "sandbox": _sandbox(kind, settings, foundation, images),
        "sandbox_namespace": place.sandboxes,
        "sandbox_replicas": pool.sandboxes,
        "agent_sandbox": settings.platform.agent_sandbox == "exists",
        "image_pull_policy": images.pull_policy,
        "network_canary": settings.cluster.network_canary,
        "canary_targets": [system.database_host],
        "log_level": settings.log_level,
    }
    if system.doorbell is not None:
        args["doorbell"] = system.doorbell
    if settings.telemetry.otlp_endpoint is not None:
        args["otlp_endpoint"] = settings.telemetry.otlp_endpoint
    if place.workspace is not None:
        args["workspace_claim"] = place.workspace
    # The role is bound before the first pod starts: a pod without it would run without it for ever.
    identity = foundation.identity(name, pools_namespace(fleet, team), agent_type)
    opts = pulumi.ResourceOptions.merge(
        place.after, pulumi.ResourceOptions(depends_on=[] if identity is None else [identity])
    )
    declared = AgentPool(name, args, opts=opts)
    if pool.autoscaler != "none":
        _autoscaler(fleet, team, agent_type, pool, declared, place)
    return declared


def _sandbox(kind: AgentType, settings: Settings, foundation: Foundation, images: ClusterImages) -> PodSandboxArgs:
    args: PodSandboxArgs = {
        "image": kind.sandbox.image or images.sandbox,
        "memory_mebibytes": kind.sandbox.memory_mebibytes,
        "cpus": kind.sandbox.cpus,
        "processes": settings.sandbox.processes,
        "scratch_mebibytes": kind.sandbox.scratch_mebibytes,
        "start_timeout_seconds": settings.sandbox.start_timeout_seconds,
        "untrusted_nodes": foundation.untrusted_nodes,
    }
    if settings.sandbox.cpu_seconds is not None:
        args["cpu_seconds"] = settings.sandbox.cpu_seconds
    if foundation.runtime_class is not None:
        args["runtime_class"] = foundation.runtime_class
    return args


def _autoscaler(fleet: str, team: str, agent_type: str, pool: Pool, declared: AgentPool, place: TeamPlace) -> None:
    name = pool_name(team, agent_type)
    args: PoolAutoscalerArgs = {
        "fleet": fleet,
        "team": team,
        "pool": agent_type,
        "namespace": place.pools,
        "deployment": declared.deployment_name,
        "minimum": pool.minimum,
        "maximum": pool.maximum,
        "kind": pool.autoscaler,
        "cpu_percent": pool.cpu_percent,
        "memory_percent": pool.memory_percent,
    }
    if pool.autoscaler == "keda":
        args["keda"] = {
            "database_secret": {"name": agent_type},
            "template": name,
            "jobs_per_replica": pool.concurrency,
        }
    PoolAutoscaler(name, args, opts=place.after)


def _routing(
    fleet: str, name: str, team: Team, settings: Settings, place: TeamPlace, pools: list[pulumi.Resource]
) -> None:
    AgentRouting(
        pools_namespace(fleet, name),
        {
            "fleet": fleet,
            "team": name,
            "namespace": place.pools,
            "namespace_name": pools_namespace(fleet, name),
            "routes": [
                {"agent_type": agent_type, "service": agent_type, "scales_to_zero": pool.minimum == 0}
                for agent_type, pool in team.pools.items()
            ],
            "pools": list(team.pools),
            "default_service": f"api.{system_namespace(fleet)}.svc.cluster.local",
            "caller_namespaces": [system_namespace(fleet), *settings.exposure.client_namespaces],
            "metrics_namespaces": settings.cluster.monitoring_namespaces,
        },
        opts=pulumi.ResourceOptions.merge(place.after, pulumi.ResourceOptions(depends_on=pools)),
    )
