"""The fleet's image registry on ECR: what was released under a tag stays what it was."""

import json
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import key_policy
from agent_fleet.aws.registry_rules import RegistryRuleArgs, declare_registry_rules
from agent_fleet.aws.resource_tags import tags

MOVING_TAGS = ("latest", "branch-*", "pr-*", "cache*")
"""Tags that may move: development's, and the build cache. Everything deployed goes by digest anyway."""
DEFAULT_KEPT_IMAGES = 50
UNTAGGED_DAYS = 7


class RegistryArgs(TypedDict):
    """Which repositories there are, and how they are kept."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    repositories: Sequence[str]
    """The images' names, for example `runtime`; each is `<component's name>/<image>` in ECR. Plain."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The key of the images at rest; one of the registry's own, rotated, if left out."""
    keep_images: NotRequired[pulumi.Input[int]]
    """Tagged images kept in each repository; 50 if left out."""
    deletion_protection: NotRequired[bool]
    """Whether AWS refuses to delete a repository with images, and Pulumi any; true if left out. Plain."""
    registry_rules: NotRequired[RegistryRuleArgs]
    """What holds for the whole account and region. For one stack of an account only: the others leave it out."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class Registry(pulumi.ComponentResource):
    """ECR repositories with immutable release tags, encrypted under a key, each with a lifecycle."""

    urls: pulumi.Output[Mapping[str, str]]
    """Where each image is pushed and pulled, by the image's name. Known only when its lifecycle is there."""
    registry_id: pulumi.Output[str]
    """The AWS account."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the repositories; see `RegistryArgs`."""
        if not args["repositories"]:
            raise ValueError("repositories: none was given; name at least one image.")
        super().__init__("agent-fleet:index:Registry", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        protected = args.get("deletion_protection", True)
        own_tags = tags(args["fleet"], "registry", args.get("owner"))
        key = args.get("kms_key_arn") or self._key(name, own_tags, protected=protected)
        urls: dict[str, pulumi.Output[str]] = {}
        repositories: list[aws.ecr.Repository] = []
        for image in args["repositories"]:
            # Renaming this resource replaces the repository, and its images are gone.
            repository = aws.ecr.Repository(
                f"{name}-{image}",
                name=f"{name}/{image}",
                image_tag_mutability="IMMUTABLE_WITH_EXCLUSION",
                image_tag_mutability_exclusion_filters=[
                    aws.ecr.RepositoryImageTagMutabilityExclusionFilterArgs(filter=tag, filter_type="WILDCARD")
                    for tag in MOVING_TAGS
                ],
                encryption_configurations=[
                    aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=key)
                ],
                force_delete=not protected,
                tags=own_tags,
                opts=pulumi.ResourceOptions(parent=self, protect=protected),
            )
            lifecycle = aws.ecr.LifecyclePolicy(
                f"{name}-{image}",
                repository=repository.name,
                policy=pulumi.Output.from_input(args.get("keep_images", DEFAULT_KEPT_IMAGES)).apply(lifecycle_policy),
                opts=options,
            )
            urls[image] = pulumi.Output.all(repository.repository_url, lifecycle.id).apply(lambda both: str(both[0]))
            repositories.append(repository)
        if "registry_rules" in args:
            declare_registry_rules(name, args["registry_rules"], repositories[0].registry_id, self)
        self.urls = pulumi.Output.all(**urls).apply(lambda found: dict(found))
        self.registry_id = repositories[0].registry_id
        self.register_outputs({"urls": self.urls, "registry_id": self.registry_id})

    def _key(self, name: str, own_tags: Mapping[str, pulumi.Input[str]], *, protected: bool) -> pulumi.Output[str]:
        # ECR needs a policy with an account in it, and the key knows its own only once it is there: AWS's default
        # policy, which is the one that key_policy writes, is put by AWS.
        key = aws.kms.Key(
            f"{name}-images",
            description=f"Images of {name}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            tags=own_tags,
            # Renaming it makes a new key, and a repository cannot change its key: all would be replaced.
            opts=pulumi.ResourceOptions(parent=self, protect=protected),
        )
        aws.kms.KeyPolicy(
            f"{name}-images", key_id=key.key_id, policy=key_policy(key.arn), opts=pulumi.ResourceOptions(parent=self)
        )
        return key.arn


def lifecycle_policy(keep_images: int) -> str:
    """What ECR expires: layers that no tag holds after a week, and tagged images beyond the newest."""
    rules = [
        {
            "rulePriority": 1,
            "description": "What no tag holds",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "All but the newest",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": int(keep_images)},
            "action": {"type": "expire"},
        },
    ]
    return json.dumps({"rules": rules})
