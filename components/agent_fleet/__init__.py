"""Pulumi components for a fleet of containerised AI agents: the public face, by name."""

from agent_fleet.docker.database import Database, DatabaseArgs
from agent_fleet.docker.execution import ExecutionService
from agent_fleet.docker.host_network import HostNetwork, HostNetworkArgs
from agent_fleet.execution_args import ApiArgs, ExecutionServiceArgs, SandboxArgs, WorkerArgs
from agent_fleet.image import AgentImage, AgentImageArgs, PulledImage, PulledImageArgs

__all__ = [
    "AgentImage",
    "AgentImageArgs",
    "ApiArgs",
    "Database",
    "DatabaseArgs",
    "ExecutionService",
    "ExecutionServiceArgs",
    "HostNetwork",
    "HostNetworkArgs",
    "PulledImage",
    "PulledImageArgs",
    "SandboxArgs",
    "WorkerArgs",
]
