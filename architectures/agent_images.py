"""The image of an agent type, built as the target of images/agent that its settings choose."""

import pulumi
from agent_fleet import AgentImage, AgentImageArgs

from architectures.host_certificates import ca_bundle
from settings.agent_model import HostAgent
from settings.model import Settings

CONTEXT = "images"
"""The agents' images carry the sandbox's runner, so they are built from the folder above both."""
DOCKERFILE = "images/agent/Dockerfile"


def agent_image(fleet: str, settings: Settings, name: str, agent: HostAgent) -> pulumi.Output[str]:
    """Declare the build for an agent type with a toolchain, and return the image by its content."""
    target = f"{agent.toolchain}-hardened" if agent.hardened else f"{agent.toolchain}"
    args: AgentImageArgs = {
        "repository": f"agent-fleet/agent-{target}",
        # Types with one toolchain may have different tools in it.
        "tag": f"{fleet}-{name}",
        "context": CONTEXT,
        "dockerfile": DOCKERFILE,
        "target": target,
    }
    if agent.tools is not None:
        args["build_args"] = {"PYTHON_TOOLS": " ".join(agent.tools)}
    certificates = ca_bundle(settings.images.build.ca_bundle)
    if certificates is not None:
        args["ca_bundle"] = certificates
    return AgentImage(f"agent-{name}", args).reference
