"""Agent types of a Docker host against what they share with the rest of the fleet."""

from collections.abc import Iterator

from settings.agent_image_names import key_of_target
from settings.agent_model import CREDENTIALS_TENANT
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
        yield from _credentials_violations(settings, name)
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


def agent_warnings(settings: Settings) -> Iterator[str]:
    """Yield what gives up protection and was asked for, a sentence for each agent type."""
    for name, agent in settings.agents.items():
        if agent.credentials is not None:
            yield (
                f"fleet.agents.{name}.credentials gives the account in {agent.credentials} to every job of that type: "
                "each can read it, keep it in its output or workspace and send it wherever it reaches, and no budget "
                "or log of the egress proxy holds it. Let fleet.sandbox.egress.credentials add it unless you trust "
                "all that these jobs run."
            )


def _credentials_violations(settings: Settings, name: str) -> Iterator[Violation]:
    """Yield why an agent type cannot have credentials within its sandboxes."""
    agent, here = settings.agents[name], f"agents.{name}"
    if agent.credentials is None:
        if agent.single_tenant_and_trusted:
            yield Violation(
                f"{here}.single_tenant_and_trusted",
                f"given true, and it means nothing without fleet.{here}.credentials: remove it",
                (f"{here}.credentials",),
            )
        return
    if not agent.single_tenant_and_trusted:
        yield Violation(
            f"{here}.credentials",
            "given, and every job of this type could read it: let fleet.sandbox.egress.credentials add it outside of "
            f"the sandbox, or say fleet.{here}.single_tenant_and_trusted: true",
            (f"{here}.single_tenant_and_trusted",),
        )
    others = [tenant for tenant in settings.tenants if tenant != CREDENTIALS_TENANT]
    if others:
        yield Violation(
            f"{here}.credentials",
            f"given, and fleet.tenants has {', '.join(others)} beside the tenant {CREDENTIALS_TENANT} of the stack's "
            "own key; credentials in sandboxes are for stacks of one tenant: remove it, or give that tenant a stack "
            "of its own",
            tuple(f"tenants.{tenant}" for tenant in others),
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
    given = images.digests or images.imported
    if agent.target is not None and agent.image is None and given is not None and given.agents.of(agent.target) is None:
        key = f"images.{source}.agents.{key_of_target(agent.target)}"
        yield Violation(
            key,
            f"not given, and with fleet.images.{source} nothing is built, so fleet.{here}.toolchain has no image: give "
            f"agent-fleet/agent-{agent.target} there, or an image of yours in fleet.{here}.image",
            (f"{here}.toolchain",),
        )
    if agent.tools is not None and given is not None:
        yield Violation(
            f"{here}.tools",
            f"given, and with fleet.images.{source} nothing is built: remove it for the tools that the image has, or "
            f"name an image of yours in fleet.{here}.image",
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
    elif agent.hardened and "pip" in (agent.tools or ()):
        yield Violation(
            f"{here}.tools",
            f"given pip, and with fleet.{here}.hardened the image has no package manager: allowed are the other tools; "
            f"remove pip, or set fleet.{here}.hardened to false",
            (f"{here}.hardened",),
        )
