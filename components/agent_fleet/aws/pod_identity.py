"""An AWS identity for one service account of one cluster."""

import hashlib
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import pod_identity_trust
from agent_fleet.aws.resource_tags import tags

LONGEST_ROLE_NAME = 64
"""IAM's limit."""
_RANDOM_SUFFIX = 8
"""What Pulumi adds to the name of a resource that was given none."""


def short_name(name: str) -> str | None:
    """A role's name where the one that Pulumi makes up would be too long for IAM, else None; its end tells it apart."""
    if len(name) + _RANDOM_SUFFIX <= LONGEST_ROLE_NAME:
        return None
    digits = hashlib.sha256(name.encode()).hexdigest()[:_RANDOM_SUFFIX]
    return f"{name[: LONGEST_ROLE_NAME - _RANDOM_SUFFIX - 1]}-{digits}"


class PodIdentityArgs(TypedDict):
    """Whose identity it is, and what it may do."""

    cluster_name: pulumi.Input[str]
    """The EKS cluster."""
    cluster_arn: pulumi.Input[str]
    """The cluster's ARN: the role trusts no other cluster."""
    namespace: pulumi.Input[str]
    """The service account's namespace."""
    service_account: pulumi.Input[str]
    """The service account's name; never `default`, which every pod of the namespace has."""
    policy: pulumi.Input[str]
    """What it may do, as an IAM policy in JSON."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class PodIdentity(pulumi.ComponentResource):
    """One role, which EKS gives to the pods of one service account and to nobody else."""

    role_arn: pulumi.Output[str]
    """The role. Known only when it has its rights and is bound."""

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the role and its association; see `PodIdentityArgs`."""
        if args["service_account"] == "default":
            raise ValueError(
                "service_account: 'default' was given, which every pod of the namespace has; give the workload its own."
            )
        super().__init__("agent-fleet:index:PodIdentity", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["cluster_name"], "pod-identity", args.get("owner"))
        role = aws.iam.Role(
            name,
            name=short_name(name),
            assume_role_policy=pod_identity_trust(args["cluster_arn"], args["namespace"], args["service_account"]),
            tags=own_tags,
            opts=options,
        )
        policy = aws.iam.RolePolicy(name, role=role.name, policy=args["policy"], opts=options)
        association = aws.eks.PodIdentityAssociation(
            name,
            cluster_name=args["cluster_name"],
            namespace=args["namespace"],
            service_account=args["service_account"],
            role_arn=role.arn,
            tags=own_tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.role_arn = pulumi.Output.all(role.arn, association.id).apply(lambda both: str(both[0]))
        self.register_outputs({"role_arn": self.role_arn})
