"""Where the hosts' images come from: taken by digest, or built here and pushed; and repositories on ECR for them."""

from dataclasses import dataclass

import pulumi
from agent_fleet import Registry, RegistryArgs

from architectures.host_certificates import ca_bundle
from settings.model import Settings

REPOSITORIES = ("runtime", "sandbox", "postgres")
"""All images of the fleet: the database's is not used here, and is where vm and cluster find it."""


@dataclass(frozen=True)
class QueueImages:
    """The images that hosts run, by their content."""

    runtime: pulumi.Output[str]
    sandbox: pulumi.Output[str]


def declare_registry(fleet: str, settings: Settings, on_aws: pulumi.ResourceOptions) -> Registry | None:
    """The repositories, if the stack is to make them. Renaming it replaces them, and the images are gone."""
    given = settings.queue.registry
    if given is None:
        return None
    args: RegistryArgs = {
        "fleet": fleet,
        "repositories": REPOSITORIES,
        "deletion_protection": settings.aws.deletion_protection,
    }
    if given.replica_regions:
        args["registry_rules"] = {"replica_regions": given.replica_regions}
    return Registry(fleet, args, opts=on_aws)


def queue_images(fleet: str, settings: Settings, registry: Registry | None) -> QueueImages:
    """The images that the settings name; see `fleet.images`. Built ones wait for their repositories."""
    given = settings.images.digests
    if given is not None:
        return QueueImages(
            runtime=pulumi.Output.from_input(given.runtime), sandbox=pulumi.Output.from_input(given.sandbox)
        )
    # Not at the top: a stack that builds nothing need not wait for the builder's SDK.
    from agent_fleet import AgentImage, AgentImageArgs

    certificates = ca_bundle(settings.images.build.ca_bundle)
    repository = "agent-fleet" if registry is None else fleet

    def built(name: str) -> pulumi.Output[str]:
        args: AgentImageArgs = {"repository": f"{repository}/{name}", "tag": fleet, "context": f"images/{name}"}
        if settings.images.registry is not None:
            args["registry"] = settings.images.registry
        if certificates is not None:
            args["ca_bundle"] = certificates
        return AgentImage(
            name, args, opts=pulumi.ResourceOptions(depends_on=[] if registry is None else [registry])
        ).reference

    return QueueImages(runtime=built("runtime"), sandbox=built("sandbox"))
