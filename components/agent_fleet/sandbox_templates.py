"""The templates of a Docker host's sandboxes, the same whatever starts its programs."""

from collections.abc import Mapping

from agent_fleet.agent_types import agent_sandbox, agent_template
from agent_fleet.execution_args import ExecutionServiceArgs
from agent_fleet.execution_workloads import SANDBOX_TEMPLATE
from agent_fleet.sandbox_spec import SandboxSpec


def sandbox_templates(args: ExecutionServiceArgs) -> Mapping[str, SandboxSpec]:
    """By name: the one for code, and one for each agent type."""
    sandbox = args["sandbox"]
    return {
        SANDBOX_TEMPLATE: SandboxSpec(
            image=sandbox["image"],
            runtime=sandbox["runtime"],
            memory_mebibytes=sandbox["memory_mebibytes"],
            cpus=sandbox["cpus"],
            processes=sandbox["processes"],
            scratch_mebibytes=sandbox["scratch_mebibytes"],
            warm=sandbox["warm"],
            maximum=sandbox["maximum"],
            start_timeout_seconds=sandbox["start_timeout_seconds"],
            cpu_seconds=sandbox.get("cpu_seconds"),
            egress_socket_mounted="egress" in args,
        ),
        **{agent_template(each): agent_sandbox(sandbox, agent) for each, agent in args.get("agents", {}).items()},
    }


def reaching(args: ExecutionServiceArgs) -> list[str]:
    """The names of those whose jobs may go where the service's egress says."""
    agents = args.get("agents", {})
    return [SANDBOX_TEMPLATE, *(agent_template(each) for each in agents if agents[each].get("egress"))]
