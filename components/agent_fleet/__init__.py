"""Pulumi components for a fleet of containerised AI agents: the public face, by name.

A name is imported when it is first asked for: the SDKs of all clouds together take seconds, and a program uses few.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_fleet.aws.addon_traffic import AddonTraffic, AddonTrafficArgs
    from agent_fleet.aws.api_group import ApiGroup, ApiGroupArgs
    from agent_fleet.aws.cache_cluster import CacheCluster, CacheClusterArgs
    from agent_fleet.aws.cluster import Cluster
    from agent_fleet.aws.cluster_args import ClusterArgs, NodeGroupArgs, RunscArgs
    from agent_fleet.aws.data_disk import DataDisk, DataDiskArgs
    from agent_fleet.aws.docker_host import DockerHost
    from agent_fleet.aws.docker_host_args import DockerHostArgs
    from agent_fleet.aws.host_account import HostAccount, HostAccountArgs
    from agent_fleet.aws.host_firewall import HostFirewall, HostFirewallArgs
    from agent_fleet.aws.job_queue import JobQueue, JobQueueArgs
    from agent_fleet.aws.load_balancer import LoadBalancer, LoadBalancerArgs
    from agent_fleet.aws.managed_database import ManagedDatabase, ManagedDatabaseArgs
    from agent_fleet.aws.network import Network, NetworkArgs
    from agent_fleet.aws.pod_identity import PodIdentity, PodIdentityArgs
    from agent_fleet.aws.registry import Registry, RegistryArgs
    from agent_fleet.aws.registry_rules import PullThroughArgs, RegistryRuleArgs
    from agent_fleet.aws.shared_workspace import SharedWorkspace, SharedWorkspaceArgs
    from agent_fleet.aws.worker_group import WorkerGroup
    from agent_fleet.aws.worker_group_args import HostArgs, OnDemandArgs, SpotArgs, WorkerGroupArgs
    from agent_fleet.docker.database import Database, DatabaseArgs
    from agent_fleet.docker.execution import ExecutionService
    from agent_fleet.docker.host_network import HostNetwork, HostNetworkArgs
    from agent_fleet.docker.redis import Redis, RedisArgs
    from agent_fleet.doorbell import DoorbellArgs
    from agent_fleet.execution_args import (
        ApiArgs,
        ExecutionServiceArgs,
        HostAgentArgs,
        SandboxArgs,
        TenantBudgetArgs,
        WorkerArgs,
    )
    from agent_fleet.image import AgentImage, AgentImageArgs, PulledImage, PulledImageArgs
    from agent_fleet.kubernetes.agent_pool import AgentPool
    from agent_fleet.kubernetes.agent_pool_args import (
        AgentPoolArgs,
        ApiLimitsArgs,
        PodResourcesArgs,
        PodSandboxArgs,
        PoolWorkerArgs,
    )
    from agent_fleet.kubernetes.agent_routing import AgentRouting
    from agent_fleet.kubernetes.agent_routing_args import AgentRoutingArgs, ConnectionLimitsArgs, DelayArgs, RouteArgs
    from agent_fleet.kubernetes.autoscaler_args import (
        DatabaseSecretArgs,
        PoolAutoscalerArgs,
        QueueScalingArgs,
        SandboxScalingArgs,
    )
    from agent_fleet.kubernetes.cluster_database import ClusterDatabase, ClusterDatabaseArgs
    from agent_fleet.kubernetes.cluster_redis import ClusterRedis, ClusterRedisArgs
    from agent_fleet.kubernetes.fleet_api import FleetApi
    from agent_fleet.kubernetes.fleet_api_args import FleetApiArgs, GatewayArgs, PoolRouteArgs
    from agent_fleet.kubernetes.image_prepull import ImagePrepull, ImagePrepullArgs
    from agent_fleet.kubernetes.namespace_limits import ContainerLimitsArgs, QuotaArgs
    from agent_fleet.kubernetes.node_autoscaler import NodeAutoscaler
    from agent_fleet.kubernetes.node_autoscaler_args import NodeAutoscalerArgs, NodePoolArgs
    from agent_fleet.kubernetes.platform import Platform
    from agent_fleet.kubernetes.platform_args import IstioArgs, KarpenterArgs, KedaArgs, PlatformArgs
    from agent_fleet.kubernetes.pool_autoscaler import PoolAutoscaler
    from agent_fleet.kubernetes.sandbox_pool import SandboxPool
    from agent_fleet.kubernetes.sandbox_pool_args import SandboxPoolArgs
    from agent_fleet.kubernetes.tenant_namespace import (
        CollectorArgs,
        EgressArgs,
        TenantNamespace,
        TenantNamespaceArgs,
        WaypointArgs,
    )
    from agent_fleet.kubernetes.workspace import WorkspaceClaim, WorkspaceClaimArgs
    from agent_fleet.sandbox_egress import EgressCredentialArgs, SandboxEgressArgs

__all__ = [
    "AddonTraffic",
    "AddonTrafficArgs",
    "AgentImage",
    "AgentImageArgs",
    "AgentPool",
    "AgentPoolArgs",
    "AgentRouting",
    "AgentRoutingArgs",
    "ApiArgs",
    "ApiGroup",
    "ApiGroupArgs",
    "ApiLimitsArgs",
    "CacheCluster",
    "CacheClusterArgs",
    "Cluster",
    "ClusterArgs",
    "ClusterDatabase",
    "ClusterDatabaseArgs",
    "ClusterRedis",
    "ClusterRedisArgs",
    "CollectorArgs",
    "ConnectionLimitsArgs",
    "ContainerLimitsArgs",
    "DataDisk",
    "DataDiskArgs",
    "Database",
    "DatabaseArgs",
    "DatabaseSecretArgs",
    "DelayArgs",
    "DockerHost",
    "DockerHostArgs",
    "DoorbellArgs",
    "EgressArgs",
    "EgressCredentialArgs",
    "ExecutionService",
    "ExecutionServiceArgs",
    "FleetApi",
    "FleetApiArgs",
    "GatewayArgs",
    "HostAccount",
    "HostAccountArgs",
    "HostAgentArgs",
    "HostArgs",
    "HostFirewall",
    "HostFirewallArgs",
    "HostNetwork",
    "HostNetworkArgs",
    "ImagePrepull",
    "ImagePrepullArgs",
    "IstioArgs",
    "JobQueue",
    "JobQueueArgs",
    "KarpenterArgs",
    "KedaArgs",
    "LoadBalancer",
    "LoadBalancerArgs",
    "ManagedDatabase",
    "ManagedDatabaseArgs",
    "Network",
    "NetworkArgs",
    "NodeAutoscaler",
    "NodeAutoscalerArgs",
    "NodeGroupArgs",
    "NodePoolArgs",
    "OnDemandArgs",
    "Platform",
    "PlatformArgs",
    "PodIdentity",
    "PodIdentityArgs",
    "PodResourcesArgs",
    "PodSandboxArgs",
    "PoolAutoscaler",
    "PoolAutoscalerArgs",
    "PoolRouteArgs",
    "PoolWorkerArgs",
    "PullThroughArgs",
    "PulledImage",
    "PulledImageArgs",
    "QueueScalingArgs",
    "QuotaArgs",
    "Redis",
    "RedisArgs",
    "Registry",
    "RegistryArgs",
    "RegistryRuleArgs",
    "RouteArgs",
    "RunscArgs",
    "SandboxArgs",
    "SandboxEgressArgs",
    "SandboxPool",
    "SandboxPoolArgs",
    "SandboxScalingArgs",
    "SharedWorkspace",
    "SharedWorkspaceArgs",
    "SpotArgs",
    "TenantBudgetArgs",
    "TenantNamespace",
    "TenantNamespaceArgs",
    "WaypointArgs",
    "WorkerArgs",
    "WorkerGroup",
    "WorkerGroupArgs",
    "WorkspaceClaim",
    "WorkspaceClaimArgs",
]

_HOMES = {
    "aws.addon_traffic": ("AddonTraffic", "AddonTrafficArgs"),
    "aws.api_group": ("ApiGroup", "ApiGroupArgs"),
    "aws.cache_cluster": ("CacheCluster", "CacheClusterArgs"),
    "aws.cluster": ("Cluster",),
    "aws.cluster_args": ("ClusterArgs", "NodeGroupArgs", "RunscArgs"),
    "aws.data_disk": ("DataDisk", "DataDiskArgs"),
    "aws.host_account": ("HostAccount", "HostAccountArgs"),
    "aws.host_firewall": ("HostFirewall", "HostFirewallArgs"),
    "aws.docker_host": ("DockerHost",),
    "aws.docker_host_args": ("DockerHostArgs",),
    "aws.job_queue": ("JobQueue", "JobQueueArgs"),
    "aws.load_balancer": ("LoadBalancer", "LoadBalancerArgs"),
    "aws.managed_database": ("ManagedDatabase", "ManagedDatabaseArgs"),
    "aws.network": ("Network", "NetworkArgs"),
    "aws.pod_identity": ("PodIdentity", "PodIdentityArgs"),
    "aws.registry": ("Registry", "RegistryArgs"),
    "aws.registry_rules": ("PullThroughArgs", "RegistryRuleArgs"),
    "aws.shared_workspace": ("SharedWorkspace", "SharedWorkspaceArgs"),
    "aws.worker_group": ("WorkerGroup",),
    "aws.worker_group_args": ("HostArgs", "OnDemandArgs", "SpotArgs", "WorkerGroupArgs"),
    "docker.database": ("Database", "DatabaseArgs"),
    "docker.execution": ("ExecutionService",),
    "docker.host_network": ("HostNetwork", "HostNetworkArgs"),
    "docker.redis": ("Redis", "RedisArgs"),
    "doorbell": ("DoorbellArgs",),
    "execution_args": (
        "ApiArgs",
        "ExecutionServiceArgs",
        "HostAgentArgs",
        "SandboxArgs",
        "TenantBudgetArgs",
        "WorkerArgs",
    ),
    "image": ("AgentImage", "AgentImageArgs", "PulledImage", "PulledImageArgs"),
    "kubernetes.agent_pool": ("AgentPool",),
    "kubernetes.agent_pool_args": (
        "AgentPoolArgs",
        "ApiLimitsArgs",
        "PodResourcesArgs",
        "PodSandboxArgs",
        "PoolWorkerArgs",
    ),
    "kubernetes.agent_routing": ("AgentRouting",),
    "kubernetes.agent_routing_args": ("AgentRoutingArgs", "ConnectionLimitsArgs", "DelayArgs", "RouteArgs"),
    "kubernetes.autoscaler_args": (
        "DatabaseSecretArgs",
        "PoolAutoscalerArgs",
        "QueueScalingArgs",
        "SandboxScalingArgs",
    ),
    "kubernetes.cluster_database": ("ClusterDatabase", "ClusterDatabaseArgs"),
    "kubernetes.cluster_redis": ("ClusterRedis", "ClusterRedisArgs"),
    "kubernetes.fleet_api": ("FleetApi",),
    "kubernetes.fleet_api_args": ("FleetApiArgs", "GatewayArgs", "PoolRouteArgs"),
    "kubernetes.image_prepull": ("ImagePrepull", "ImagePrepullArgs"),
    "kubernetes.namespace_limits": ("ContainerLimitsArgs", "QuotaArgs"),
    "kubernetes.node_autoscaler": ("NodeAutoscaler",),
    "kubernetes.node_autoscaler_args": ("NodeAutoscalerArgs", "NodePoolArgs"),
    "kubernetes.platform": ("Platform",),
    "kubernetes.platform_args": ("IstioArgs", "KarpenterArgs", "KedaArgs", "PlatformArgs"),
    "kubernetes.pool_autoscaler": ("PoolAutoscaler",),
    "kubernetes.sandbox_pool": ("SandboxPool",),
    "kubernetes.sandbox_pool_args": ("SandboxPoolArgs",),
    "kubernetes.tenant_namespace": (
        "CollectorArgs",
        "EgressArgs",
        "TenantNamespace",
        "TenantNamespaceArgs",
        "WaypointArgs",
    ),
    "kubernetes.workspace": ("WorkspaceClaim", "WorkspaceClaimArgs"),
    "sandbox_egress": ("EgressCredentialArgs", "SandboxEgressArgs"),
}
"""Where each name is, as the imports above have it."""


def __getattr__(name: str) -> Any:
    """The component or its arguments. Raises AttributeError for a name that is not public."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
