"""The agent types of one Docker host, as each program is told of them."""

from collections.abc import Mapping
from typing import Any

import pulumi

from agent_fleet.execution_args import HostAgentArgs, SandboxArgs
from agent_fleet.inputs import json_text
from agent_fleet.sandbox_spec import MEBIBYTE, SandboxSpec


def agent_template(agent_type: str) -> str:
    """The name of the template of its sandboxes, which its worker claims the jobs of."""
    return f"agent-{agent_type}"


def agent_sandbox(sandbox: SandboxArgs, agent: HostAgentArgs) -> SandboxSpec:
    """Its sandboxes: like those for code but for what the type chooses, and none is made before its job is there."""
    return SandboxSpec(
        image=agent.get("image", sandbox["image"]),
        runtime=sandbox["runtime"],
        memory_mebibytes=agent["memory_mebibytes"],
        cpus=agent["cpus"],
        processes=sandbox["processes"],
        scratch_mebibytes=agent["scratch_mebibytes"],
        warm=0,
        maximum=agent["maximum"],
        start_timeout_seconds=sandbox["start_timeout_seconds"],
        cpu_seconds=sandbox.get("cpu_seconds"),
        egress_socket_mounted=agent.get("egress", False),
        workspaces_mounted=True,
        trusted_credentials=agent.get("trusted_credentials"),
    )


def agents_variable(agents: Mapping[str, HostAgentArgs]) -> Mapping[str, pulumi.Input[str]]:
    """What the API is told of them; nothing where there are none."""
    if not agents:
        return {}
    told: list[dict[str, Any]] = [
        {
            "agent_type": name,
            "template": agent_template(name),
            "prompt_command": list(agent.get("prompt_command", [])),
            **({"tenant": agent["trusted_credentials"]["tenant"]} if "trusted_credentials" in agent else {}),
            **({} if agent.get("shell", True) else {"shell": False}),
            **({"workspace_bytes": agent["workspace_mebibytes"] * MEBIBYTE} if "workspace_mebibytes" in agent else {}),
        }
        for name, agent in agents.items()
    ]
    return {"FLEET_AGENTS": json_text(told)}
