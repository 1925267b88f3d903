"""Pulumi components for a fleet of containerised AI agents: the public face, by name."""

from agent_fleet.docker.database import Database, DatabaseArgs
from agent_fleet.docker.execution import ExecutionService
from agent_fleet.docker.host_network import HostNetwork, HostNetworkArgs
from agent_fleet.execution_args import ApiArgs, ExecutionServiceArgs, SandboxArgs, WorkerArgs
from agent_fleet.image import AgentImage, AgentImageArgs, PulledImage, PulledImageArgs
from agent_fleet.kubernetes.agent_pool import AgentPool
from agent_fleet.kubernetes.agent_pool_args import (
    AgentPoolArgs,
    ApiLimitsArgs,
    PodResourcesArgs,
    PodSandboxArgs,
    PoolWorkerArgs,
)
from agent_fleet.kubernetes.cluster_database import ClusterDatabase, ClusterDatabaseArgs
from agent_fleet.kubernetes.fleet_api import FleetApi
from agent_fleet.kubernetes.fleet_api_args import FleetApiArgs, GatewayArgs, PoolRouteArgs
from agent_fleet.kubernetes.image_prepull import ImagePrepull, ImagePrepullArgs
from agent_fleet.kubernetes.sandbox_pool import SandboxPool, SandboxPoolArgs
from agent_fleet.kubernetes.tenant_namespace import (
    ContainerLimitsArgs,
    EgressArgs,
    QuotaArgs,
    TenantNamespace,
    TenantNamespaceArgs,
)
from agent_fleet.kubernetes.workspace import WorkspaceClaim, WorkspaceClaimArgs

__all__ = [
    "AgentImage",
    "AgentImageArgs",
    "AgentPool",
    "AgentPoolArgs",
    "ApiArgs",
    "ApiLimitsArgs",
    "ClusterDatabase",
    "ClusterDatabaseArgs",
    "ContainerLimitsArgs",
    "Database",
    "DatabaseArgs",
    "EgressArgs",
    "ExecutionService",
    "ExecutionServiceArgs",
    "FleetApi",
    "FleetApiArgs",
    "GatewayArgs",
    "HostNetwork",
    "HostNetworkArgs",
    "ImagePrepull",
    "ImagePrepullArgs",
    "PodResourcesArgs",
    "PodSandboxArgs",
    "PoolRouteArgs",
    "PoolWorkerArgs",
    "PulledImage",
    "PulledImageArgs",
    "QuotaArgs",
    "SandboxArgs",
    "SandboxPool",
    "SandboxPoolArgs",
    "TenantNamespace",
    "TenantNamespaceArgs",
    "WorkerArgs",
    "WorkspaceClaim",
    "WorkspaceClaimArgs",
]
