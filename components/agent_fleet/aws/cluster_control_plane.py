"""The control plane of a cluster: its role, the key of its secrets, its logs, and the cluster itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.cluster_args import ClusterArgs
from agent_fleet.aws.policy_documents import document, key_policy, managed_policy, service_trust

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
WORLD = ("0.0.0.0/0", "::/0")
KEY_DELETION_DAYS = 30
THROW_AWAY_KEY_DELETION_DAYS = 7
"""The shortest that KMS allows."""


@dataclass(frozen=True)
class ControlPlane:
    """What was declared."""

    cluster: aws.eks.Cluster
    role: aws.iam.Role
    key: aws.kms.Key


def check_public_endpoint(args: ClusterArgs) -> None:
    """Raises ValueError for a public endpoint that is open to the world."""
    for cidr in args.get("public_endpoint_cidrs", ()):
        if cidr in WORLD:
            raise ValueError(
                f"public_endpoint_cidrs: {cidr} was given, which is everybody. Name your own addresses, or leave it "
                "out and reach the private endpoint from inside the VPC."
            )


def cluster_role(
    name: str, own_tags: Mapping[str, pulumi.Input[str]], options: pulumi.ResourceOptions
) -> tuple[aws.iam.Role, aws.iam.RolePolicyAttachment]:
    """The role that the control plane acts with."""
    role = aws.iam.Role(
        f"{name}-cluster", assume_role_policy=service_trust("eks.amazonaws.com"), tags=own_tags, opts=options
    )
    attachment = aws.iam.RolePolicyAttachment(
        f"{name}-cluster",
        role=role.name,
        policy_arn=managed_policy(role.arn, "AmazonEKSClusterPolicy"),
        opts=options,
    )
    return role, attachment


def declare_control_plane(
    name: str,
    args: ClusterArgs,
    *,
    control_plane_group: aws.ec2.SecurityGroup,
    own_tags: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
) -> ControlPlane:
    """Declare the cluster with everything that it needs before it exists."""
    options = pulumi.ResourceOptions(parent=parent)
    protected = pulumi.ResourceOptions(parent=parent, protect=args["deletion_protection"])
    role, attachment = cluster_role(name, own_tags, options)
    # Renaming this resource makes a new key, and a cluster cannot change its key: it would be replaced.
    key = aws.kms.Key(
        f"{name}-secrets",
        description=f"Secrets of the Kubernetes cluster {name}",
        enable_key_rotation=True,
        deletion_window_in_days=KEY_DELETION_DAYS if args["deletion_protection"] else THROW_AWAY_KEY_DELETION_DAYS,
        policy=key_policy(role.arn),
        tags=own_tags,
        opts=protected,
    )
    aws.kms.Alias(f"{name}-secrets", name=f"alias/{name}-secrets", target_key_id=key.key_id, opts=options)
    key_use = aws.iam.RolePolicy(
        f"{name}-cluster-secrets",
        role=role.name,
        policy=document(
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ListGrants"],
                "Resource": key.arn,
            }
        ),
        opts=options,
    )
    # EKS would make a group of this very name itself, without an end to its retention.
    logs = aws.cloudwatch.LogGroup(
        f"{name}-control-plane",
        name=f"/aws/eks/{name}/cluster",
        retention_in_days=args["log_retention_days"],
        tags=own_tags,
        opts=options,
    )
    public_cidrs = list(args.get("public_endpoint_cidrs", ()))
    # Renaming this resource replaces the cluster and so everything that runs in it.
    cluster = aws.eks.Cluster(
        name,
        name=name,
        version=args["version"],
        role_arn=role.arn,
        vpc_config=aws.eks.ClusterVpcConfigArgs(
            subnet_ids=args["subnet_ids"],
            security_group_ids=[control_plane_group.id],
            endpoint_private_access=True,
            endpoint_public_access=bool(public_cidrs),
            public_access_cidrs=public_cidrs or None,
        ),
        kubernetes_network_config=(
            aws.eks.ClusterKubernetesNetworkConfigArgs(service_ipv4_cidr=args["service_cidr"])
            if "service_cidr" in args
            else None
        ),
        access_config=aws.eks.ClusterAccessConfigArgs(
            authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
        ),
        # The add-ons are declared, so none is to be there unasked.
        bootstrap_self_managed_addons=False,
        encryption_config=aws.eks.ClusterEncryptionConfigArgs(
            provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=key.arn), resources=["secrets"]
        ),
        enabled_cluster_log_types=list(LOG_TYPES),
        # At its end of standard support a cluster is upgraded, not billed six times as much.
        upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
        deletion_protection=args["deletion_protection"],
        tags=own_tags,
        opts=pulumi.ResourceOptions.merge(
            protected,
            # The role must keep its rights until the cluster is gone: EKS removes its network interfaces with them.
            pulumi.ResourceOptions(depends_on=[attachment, key_use, logs]),
        ),
    )
    return ControlPlane(cluster, role, key)
