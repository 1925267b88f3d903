"""Where a cluster's images come from: built and pushed, taken by digest, or imported into the nodes."""

from dataclasses import dataclass

import pulumi

from architectures.host_certificates import ca_bundle
from settings.model import Images, Settings

PULLED_IF_MISSING = "IfNotPresent"
NEVER_PULLED = "Never"


@dataclass(frozen=True)
class ClusterImages:
    """The images of a fleet in a cluster, and whether nodes pull them."""

    runtime: pulumi.Output[str]
    sandbox: pulumi.Output[str]
    postgres: pulumi.Output[str]
    redis: pulumi.Output[str] | None
    """None where Redis is not the doorbell."""
    pull_policy: str


def cluster_images(fleet: str, settings: Settings) -> ClusterImages:
    """The images that the settings name; see `fleet.images`."""
    images, with_redis = settings.images, settings.doorbell.kind == "redis"
    given = images.digests or images.imported
    if given is not None:
        return ClusterImages(
            runtime=pulumi.Output.from_input(given.runtime),
            sandbox=pulumi.Output.from_input(given.sandbox),
            postgres=pulumi.Output.from_input(given.postgres),
            redis=pulumi.Output.from_input(given.redis) if with_redis and given.redis is not None else None,
            pull_policy=PULLED_IF_MISSING if images.digests is not None else NEVER_PULLED,
        )
    return _built(fleet, images, with_redis=with_redis)


def _built(fleet: str, images: Images, *, with_redis: bool) -> ClusterImages:
    # Not at the top: a stack that builds nothing need not wait for the builder's SDK.
    from agent_fleet import AgentImage, AgentImageArgs

    certificates = ca_bundle(images.build.ca_bundle)

    def built(name: str) -> pulumi.Output[str]:
        args: AgentImageArgs = {"repository": f"agent-fleet/{name}", "tag": fleet, "context": f"images/{name}"}
        if images.registry is not None:
            args["registry"] = images.registry
        if certificates is not None:
            args["ca_bundle"] = certificates
        return AgentImage(name, args).reference

    return ClusterImages(
        runtime=built("runtime"),
        sandbox=built("sandbox"),
        postgres=built("postgres"),
        redis=built("redis") if with_redis else None,
        pull_policy=PULLED_IF_MISSING,
    )
