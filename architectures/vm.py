"""`vm`: the whole fleet on one Docker host. For loads under 100 jobs a minute (D1)."""

from dataclasses import dataclass

import pulumi
from agent_fleet import (
    AgentImage,
    AgentImageArgs,
    Database,
    ExecutionService,
    HostAgentArgs,
    HostNetwork,
    PulledImage,
    Redis,
)

from architectures.agent_images import agent_image
from architectures.host_certificates import ca_bundle
from architectures.service_settings import service_args
from settings.agent_model import CREDENTIALS_TENANT, HostAgent
from settings.model import Settings


@dataclass(frozen=True)
class Images:
    """The images of a fleet, by their content."""

    runtime: pulumi.Output[str]
    sandbox: pulumi.Output[str]
    postgres: pulumi.Output[str]
    redis: pulumi.Output[str] | None
    """None where Redis is not the doorbell."""


@dataclass(frozen=True)
class Deployment:
    """What the stack's outputs are made of."""

    url: pulumi.Output[str]
    api_key: pulumi.Output[str]


def deploy(fleet: str, settings: Settings) -> Deployment:
    """Images, then networks, then the database, then the service that needs all of them."""
    images = _images(fleet, settings)
    network = HostNetwork(fleet, {"fleet": fleet})
    database = Database(
        f"{fleet}-database",
        {
            "fleet": fleet,
            "image": images.postgres,
            "network": network.backend,
            "memory_mebibytes": settings.database.memory_mebibytes,
        },
    )
    args = service_args(
        fleet,
        settings,
        runtime=images.runtime,
        sandbox=images.sandbox,
        database_url=database.url,
        frontend_network=network.frontend,
        backend_network=network.backend,
    )
    if settings.agents:
        args["agents"] = {name: _agent(fleet, settings, name, agent) for name, agent in settings.agents.items()}
    if images.redis is not None:
        redis = Redis(f"{fleet}-redis", {"fleet": fleet, "image": images.redis, "network": network.backend})
        args["doorbell"] = {"kind": "redis", "url": redis.url}
    service = ExecutionService(fleet, args, opts=pulumi.ResourceOptions(depends_on=[database]))
    return Deployment(url=service.url, api_key=service.api_key)


def _agent(fleet: str, settings: Settings, name: str, agent: HostAgent) -> HostAgentArgs:
    args: HostAgentArgs = {
        "memory_mebibytes": agent.memory_mebibytes,
        "cpus": agent.cpus,
        "scratch_mebibytes": agent.scratch_mebibytes,
        "maximum": agent.maximum,
        "prompt_command": agent.prompt_command,
        "egress": agent.egress,
    }
    if agent.workspace_mebibytes is not None:
        args["workspace_mebibytes"] = agent.workspace_mebibytes
    if agent.image is not None:
        args["image"] = PulledImage(f"agent-{name}", {"reference": agent.image}).reference
    elif agent.target is not None:
        args["image"] = agent_image(fleet, settings, name, agent, agent.target)
    if agent.hardened:
        args["shell"] = False
    if agent.credentials is not None:
        args["trusted_credentials"] = {"file": agent.credentials, "tenant": CREDENTIALS_TENANT}
    return args


def _images(fleet: str, settings: Settings) -> Images:
    # Imported ones are named by their ids: those are on the host or not, and no registry is asked for one.
    given, with_redis = settings.images.digests or settings.images.imported, settings.doorbell.kind == "redis"
    if given is not None:
        redis = given.redis if with_redis else None
        return Images(
            runtime=PulledImage("runtime", {"reference": given.runtime}).reference,
            sandbox=PulledImage("sandbox", {"reference": given.sandbox}).reference,
            postgres=PulledImage("postgres", {"reference": given.postgres}).reference,
            redis=None if redis is None else PulledImage("redis", {"reference": redis}).reference,
        )
    certificates = ca_bundle(settings.images.build.ca_bundle)

    def built(name: str) -> pulumi.Output[str]:
        # Fleets on one host must not take each other's images away, hence the tag.
        args: AgentImageArgs = {"repository": f"agent-fleet/{name}", "tag": fleet, "context": f"images/{name}"}
        if certificates is not None:
            args["ca_bundle"] = certificates
        return AgentImage(name, args).reference

    return Images(
        runtime=built("runtime"),
        sandbox=built("sandbox"),
        postgres=built("postgres"),
        redis=built("redis") if with_redis else None,
    )
