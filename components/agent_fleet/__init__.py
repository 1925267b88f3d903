"""Pulumi components for a fleet of containerised AI agents: the public face, by name."""

from agent_fleet.database import Database, DatabaseArgs
from agent_fleet.execution import ExecutionService
from agent_fleet.execution_args import ApiArgs, ExecutionServiceArgs, SandboxArgs, WorkerArgs
from agent_fleet.host_network import HostNetwork, HostNetworkArgs
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
