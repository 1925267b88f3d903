"""The fleet's own namespace: the database, which holds the jobs, and the API, which takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from agent_fleet import (
    ApiLimitsArgs,
    ClusterDatabase,
    ClusterDatabaseArgs,
    ClusterRedis,
    ClusterRedisArgs,
    DoorbellArgs,
    EgressArgs,
    FleetApi,
    FleetApiArgs,
    TenantNamespace,
    TenantNamespaceArgs,
)
from agent_fleet.kubernetes.platform import KEDA_NAMESPACE

from architectures.budgets import budget_args
from architectures.collector import open_way_to_collector
from architectures.foundation import Foundation
from architectures.images import ClusterImages
from architectures.names import (
    DATABASE_PORT,
    api_name,
    mebibytes,
    pool_name,
    pools_namespace,
    quota_args,
    system_namespace,
)
from settings.capacity import system_quota
from settings.model import Settings

DATABASE_CPUS = 1.0
MAXIMUM_SYSTEM_CPUS = "4"


@dataclass(frozen=True)
class FleetSystem:
    """What every team uses."""

    namespace: pulumi.Output[str]
    api: FleetApi
    database_url: pulumi.Output[str]
    database_host: pulumi.Output[str]
    database_cidrs: Sequence[str]
    """None where the database is in the cluster."""
    doorbell: DoorbellArgs | None
    """None where it is the database's."""
    after_database: pulumi.ResourceOptions


def declare_system(
    fleet: str,
    settings: Settings,
    foundation: Foundation,
    images: ClusterImages,
    on_cluster: pulumi.ResourceOptions,
) -> FleetSystem:
    """Namespace, then the database, then the API."""
    outside = foundation.managed_postgres
    space: TenantNamespaceArgs = {
        "fleet": fleet,
        "name": system_namespace(fleet),
        "team": fleet,
        "purpose": "system",
        "quota": quota_args(system_quota(settings)),
        "limits": {
            "maximum_cpu": MAXIMUM_SYSTEM_CPUS,
            "maximum_memory": mebibytes(max(8_192, settings.database.memory_mebibytes)),
        },
        "ambient_mesh_enabled": settings.platform.istio != "off",
    }
    if outside is None:
        space["database_namespace"] = system_namespace(fleet)
    else:
        space["database_cidrs"] = outside.cidrs
    if settings.doorbell.kind == "redis":
        space["redis_namespace"] = system_namespace(fleet)
    queues = foundation.ring_queues
    if queues is not None:
        space["pod_identity_enabled"] = foundation.pod_identity_enabled
        space["egress"] = [EgressArgs(cidr=cidr, ports=[443]) for cidr in queues.cidrs]
    open_way_to_collector(space, settings)
    namespace = TenantNamespace(system_namespace(fleet), space, opts=on_cluster).namespace
    if outside is None:
        database = _database(fleet, settings, foundation, images, namespace, on_cluster)
        url, host, after = database.url, database.host, [database]
    else:
        url, host, after = outside.url, outside.address, []
    after_database = pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=after))
    doorbell = _doorbell(fleet, settings, foundation, images, namespace, on_cluster)
    args = _api_args(fleet, settings, images, namespace, url)
    before_api: list[pulumi.Resource] = []
    if doorbell is not None:
        args["doorbell"] = doorbell
    if settings.telemetry.otlp_endpoint is not None:
        args["otlp_endpoint"] = settings.telemetry.otlp_endpoint
    if queues is not None:
        # A pod that starts before its role is bound to it runs without it for ever.
        identity = foundation.identity(api_name(fleet), system_namespace(fleet), "api")
        before_api = [] if identity is None else [identity]
    after = pulumi.ResourceOptions.merge(after_database, pulumi.ResourceOptions(depends_on=before_api))
    api = FleetApi(api_name(fleet), args, opts=after)
    return FleetSystem(
        namespace=namespace,
        api=api,
        database_url=url,
        database_host=pulumi.Output.concat(host, f":{DATABASE_PORT}"),
        database_cidrs=() if outside is None else outside.cidrs,
        doorbell=doorbell,
        after_database=after_database,
    )


def api_limits(settings: Settings) -> ApiLimitsArgs:
    """What the fleet's API and every pool's accept."""
    return {
        "languages": settings.sandbox.languages,
        "default_timeout_seconds": settings.api.default_timeout_seconds,
        "max_attempts": settings.limits.max_attempts,
        "result_ttl_seconds": settings.api.result_ttl_seconds,
        "tombstone_ttl_seconds": settings.api.tombstone_ttl_seconds,
        "queue_limit": settings.api.queue_limit,
    }


def _database(
    fleet: str,
    settings: Settings,
    foundation: Foundation,
    images: ClusterImages,
    namespace: pulumi.Output[str],
    on_cluster: pulumi.ResourceOptions,
) -> ClusterDatabase:
    clients = [system_namespace(fleet), *(pools_namespace(fleet, team) for team in settings.teams)]
    if settings.platform.keda != "off":
        clients.append(KEDA_NAMESPACE)
    args: ClusterDatabaseArgs = {
        "fleet": fleet,
        "namespace": namespace,
        "image": images.postgres,
        "memory_mebibytes": settings.database.memory_mebibytes,
        "cpus": DATABASE_CPUS,
        "storage_gibibytes": settings.database.storage_gibibytes,
        "client_namespaces": clients,
        "ambient_mesh_enabled": settings.platform.istio != "off",
        "image_pull_policy": images.pull_policy,
    }
    if foundation.database_class is not None:
        args["storage_class"] = foundation.database_class
    # Renaming this resource makes a new, empty database.
    return ClusterDatabase(f"{fleet}-database", args, opts=on_cluster)


def _doorbell(
    fleet: str,
    settings: Settings,
    foundation: Foundation,
    images: ClusterImages,
    namespace: pulumi.Output[str],
    on_cluster: pulumi.ResourceOptions,
) -> DoorbellArgs | None:
    if foundation.ring_queues is not None:
        return {"kind": "sqs", "url": foundation.ring_queues.url}
    if images.redis is None:
        return None
    args: ClusterRedisArgs = {
        "fleet": fleet,
        "namespace": namespace,
        "image": images.redis,
        "client_namespaces": [system_namespace(fleet), *(pools_namespace(fleet, team) for team in settings.teams)],
        "ambient_mesh_enabled": settings.platform.istio != "off",
        "image_pull_policy": images.pull_policy,
    }
    return {"kind": "redis", "url": ClusterRedis(f"{fleet}-redis", args, opts=on_cluster).url}


def _api_args(
    fleet: str,
    settings: Settings,
    images: ClusterImages,
    namespace: pulumi.Output[str],
    database_url: pulumi.Output[str],
) -> FleetApiArgs:
    exposure = settings.exposure
    args: FleetApiArgs = {
        "fleet": fleet,
        "namespace": namespace,
        "image": images.runtime,
        "database_url": database_url,
        "pools": [
            {
                "tenant": name,
                "agent_type": agent_type,
                "template": pool_name(name, agent_type),
                "default": agent_type == (team.default_pool or next(iter(team.pools))),
                "scales_from_zero": pool.autoscaler == "keda" and pool.minimum == 0,
            }
            for name, team in settings.teams.items()
            for agent_type, pool in team.pools.items()
        ],
        "teams": list(settings.teams),
        "budgets": budget_args({name: team.budget for name, team in settings.teams.items()}),
        "replicas": settings.api.replicas,
        "api": api_limits(settings),
        "longest_job_seconds": settings.limits.task_timeout_seconds,
        "exposure": exposure.kind,
        "client_namespaces": exposure.client_namespaces,
        "metrics_from_namespaces": settings.cluster.monitoring_namespaces,
        "image_pull_policy": images.pull_policy,
        "log_level": settings.log_level,
    }
    if exposure.host is not None:
        args["host"] = exposure.host
    if exposure.tls_secret is not None:
        args["tls_secret"] = exposure.tls_secret
    if exposure.cluster_issuer is not None:
        args["issuer"] = exposure.cluster_issuer
    if exposure.ingress_class is not None:
        args["ingress_class"] = exposure.ingress_class
    if exposure.gateway_name is not None and exposure.gateway_namespace is not None:
        args["gateway"] = {"name": exposure.gateway_name, "namespace": exposure.gateway_namespace}
    if exposure.node_port is not None:
        args["node_port"] = exposure.node_port
    if settings.platform.istio != "off":
        args["ambient_mesh_enabled"] = True
        args["waypoint_namespaces"] = [pools_namespace(fleet, team) for team in settings.teams]
    return args
