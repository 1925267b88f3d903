"""Agent types of a Docker host against what they share with the rest of the fleet."""

from collections.abc import Iterator

from settings.model import Settings
from settings.violation import Violation


def agent_violations(settings: Settings) -> Iterator[Violation]:
    """Everything about `fleet.agents` that no single key shows."""
    domains = settings.sandbox.egress.domains
    for name, agent in settings.agents.items():
        here, half = f"agents.{name}", agent.memory_mebibytes // 2
        if agent.scratch_mebibytes > half:
            yield Violation(
                f"{here}.scratch_mebibytes",
                f"given {agent.scratch_mebibytes}; scratch space is memory, and at most half of fleet.{here}."
                f"memory_mebibytes, which is {agent.memory_mebibytes}: allowed up to {half}",
                (f"{here}.memory_mebibytes",),
            )
        if agent.egress and not domains:
            yield Violation(
                f"{here}.egress",
                "given true; fleet.sandbox.egress.domains is empty, so there is nothing to reach: list domains there, "
                "or remove it",
                ("sandbox.egress.domains",),
            )
        yield from _image_violations(settings, name)
        if agent.prompt_command and not agent.prompt_command[0].strip():
            yield Violation(f"{here}.prompt_command", "given a first part that names no program")
    jobs = settings.workers.count * settings.workers.concurrency
    agents = sum(agent.maximum for agent in settings.agents.values())
    limit = settings.limits.max_concurrent_agents
    # Without agents the relation of the workers says it.
    if agents and jobs <= limit < jobs + agents:
        yield Violation(
            "limits.max_concurrent_agents",
            f"given {limit}; the workers run {jobs} jobs at once (fleet.workers.count x fleet.workers.concurrency) and "
            f"the agent types {agents} (their `maximum`): allowed from {jobs + agents}, or lower one of those",
            ("workers.count", "workers.concurrency", *(f"agents.{name}.maximum" for name in settings.agents)),
        )


def _image_violations(settings: Settings, name: str) -> Iterator[Violation]:
    """Yield what is wrong about where the image of an agent type comes from."""
    agent, here, images = settings.agents[name], f"agents.{name}", settings.images
    if agent.toolchain is not None and agent.image is not None:
        yield Violation(
            f"{here}.toolchain",
            f"given as well as fleet.{here}.image; an image is built or taken by digest: leave one of the two out",
            (f"{here}.image",),
        )
    source = "digests" if images.digests is not None else "imported" if images.imported is not None else None
    if agent.toolchain is not None and source is not None:
        yield Violation(
            f"{here}.toolchain",
            f"given, and with fleet.images.{source} nothing is built: name that image by its digest in "
            f"fleet.{here}.image",
            (f"images.{source}",),
        )
    if agent.hardened and agent.toolchain is None and agent.image is None:
        yield Violation(
            f"{here}.hardened",
            f"given true, and the sandbox image has a shell: choose fleet.{here}.toolchain, or name an image without "
            f"one in fleet.{here}.image",
            (f"{here}.toolchain",),
        )
    if agent.tools is not None and agent.toolchain not in ("python", "full"):
        yield Violation(
            f"{here}.tools",
            f"given, and only images of fleet.{here}.toolchain python and full have them: remove it, or choose one",
            (f"{here}.toolchain",),
        )
