"""Serves the components to programs in other languages."""

import agent_fleet
from pulumi.provider.experimental import component_provider_host

component_provider_host(
    name="agent-fleet",
    components=[
        agent_fleet.AgentImage,
        agent_fleet.AgentPool,
        agent_fleet.ClusterDatabase,
        agent_fleet.Database,
        agent_fleet.ExecutionService,
        agent_fleet.FleetApi,
        agent_fleet.HostNetwork,
        agent_fleet.ImagePrepull,
        agent_fleet.PulledImage,
        agent_fleet.SandboxPool,
        agent_fleet.TenantNamespace,
        agent_fleet.WorkspaceClaim,
    ],
)
