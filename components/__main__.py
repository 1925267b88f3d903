"""Serves the components to programs in other languages."""

import agent_fleet
from pulumi.provider.experimental import component_provider_host

component_provider_host(
    name="agent-fleet",
    components=[
        agent_fleet.AddonTraffic,
        agent_fleet.AgentImage,
        agent_fleet.AgentPool,
        agent_fleet.AgentRouting,
        agent_fleet.ApiGroup,
        agent_fleet.CacheCluster,
        agent_fleet.Cluster,
        agent_fleet.ClusterDatabase,
        agent_fleet.ClusterRedis,
        agent_fleet.DataDisk,
        agent_fleet.Database,
        agent_fleet.DockerHost,
        agent_fleet.ExecutionService,
        agent_fleet.FleetApi,
        agent_fleet.HostAccount,
        agent_fleet.HostFirewall,
        agent_fleet.HostNetwork,
        agent_fleet.ImagePrepull,
        agent_fleet.JobQueue,
        agent_fleet.LoadBalancer,
        agent_fleet.ManagedDatabase,
        agent_fleet.Network,
        agent_fleet.NodeAutoscaler,
        agent_fleet.Platform,
        agent_fleet.PodIdentity,
        agent_fleet.PoolAutoscaler,
        agent_fleet.PulledImage,
        agent_fleet.Redis,
        agent_fleet.Registry,
        agent_fleet.SandboxPool,
        agent_fleet.SharedWorkspace,
        agent_fleet.TenantNamespace,
        agent_fleet.WorkerGroup,
        agent_fleet.WorkspaceClaim,
    ],
)
