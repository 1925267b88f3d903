"""The image of an agent type: by digest, or built as the target of images/agent that its settings choose."""

import pulumi
from agent_fleet import AgentImage, AgentImageArgs, PulledImage

from architectures.host_certificates import ca_bundle
from settings.agent_model import HostAgent
from settings.model import Settings

CONTEXT = "images"
"""The agents' images carry the sandbox's runner, so they are built from the folder above both."""
DOCKERFILE = "images/agent/Dockerfile"


def agent_image(fleet: str, settings: Settings, name: str, agent: HostAgent, target: str) -> pulumi.Output[str]:
    """Declare the image of an agent type with a toolchain, built or as the settings name it; return it by its content.

    `target` is what images/agent/Dockerfile calls it.
    """
    images = settings.images.digests or settings.images.imported
    given = None if images is None else images.agents.of(target)
    if given is not None:
        return PulledImage(f"agent-{name}", {"reference": given}).reference
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
