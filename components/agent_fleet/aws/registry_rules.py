"""What ECR has once for an account and region: scanning, replication, and caches of other registries."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws


class PullThroughArgs(TypedDict):
    """Another registry, cached in ours."""

    prefix: str
    """The repositories' prefix in our registry, for example `quay`. Plain."""
    upstream: pulumi.Input[str]
    """The other registry's host, for example `quay.io`."""
    credential_arn: NotRequired[pulumi.Input[str]]
    """A Secrets Manager secret with the other registry's credentials, where it asks for them."""


class RegistryRuleArgs(TypedDict):
    """Rules of the whole registry of the account in the region."""

    scan_type: NotRequired[pulumi.Input[str]]
    """`BASIC` (at push, free) or `ENHANCED` (continuous, Inspector's price); BASIC if left out. A repository's own
    setting for scans gives way to it."""
    replica_regions: NotRequired[Sequence[str]]
    """Regions that every image is copied to (D9). Plain."""
    pull_through: NotRequired[Sequence[PullThroughArgs]]
    """Other registries to cache. The first pull of an image goes out, so it needs a NAT."""


def declare_registry_rules(
    name: str, args: RegistryRuleArgs, registry_id: pulumi.Output[str], parent: pulumi.Resource
) -> None:
    """Declare the rules; they follow the component's repositories alone where ECR can narrow them."""
    options = pulumi.ResourceOptions(parent=parent)
    scan_type = pulumi.Output.from_input(args.get("scan_type", "BASIC"))
    aws.ecr.RegistryScanningConfiguration(
        name,
        scan_type=scan_type,
        rules=[
            aws.ecr.RegistryScanningConfigurationRuleArgs(
                scan_frequency=scan_type.apply(
                    lambda kind: "CONTINUOUS_SCAN" if kind == "ENHANCED" else "SCAN_ON_PUSH"
                ),
                repository_filters=[
                    aws.ecr.RegistryScanningConfigurationRuleRepositoryFilterArgs(filter="*", filter_type="WILDCARD")
                ],
            )
        ],
        opts=options,
    )
    regions = args.get("replica_regions", ())
    if regions:
        aws.ecr.ReplicationConfiguration(
            name,
            replication_configuration=aws.ecr.ReplicationConfigurationReplicationConfigurationArgs(
                rules=[
                    aws.ecr.ReplicationConfigurationReplicationConfigurationRuleArgs(
                        destinations=[
                            aws.ecr.ReplicationConfigurationReplicationConfigurationRuleDestinationArgs(
                                region=region, registry_id=registry_id
                            )
                            for region in regions
                        ],
                        repository_filters=[
                            aws.ecr.ReplicationConfigurationReplicationConfigurationRuleRepositoryFilterArgs(
                                filter=f"{name}/", filter_type="PREFIX_MATCH"
                            )
                        ],
                    )
                ]
            ),
            opts=options,
        )
    for cache in args.get("pull_through", ()):
        aws.ecr.PullThroughCacheRule(
            f"{name}-{cache['prefix']}",
            ecr_repository_prefix=cache["prefix"],
            upstream_registry_url=cache["upstream"],
            credential_arn=cache.get("credential_arn"),
            opts=options,
        )
