"""The nodes of a cluster: system nodes, and tainted ones for untrusted work, on-demand and spot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.cluster_args import NodeGroupArgs
from agent_fleet.aws.policy_documents import document, managed_policy, service_trust

UNTRUSTED_KEY = "agent-fleet.io/untrusted"
"""Label and taint of the nodes for untrusted work."""
CAPACITY_LABEL = "agent-fleet.io/capacity"
DEFAULT_AMI_TYPE = "AL2023_x86_64_STANDARD"
MAX_UNAVAILABLE_PERCENT = 33
"""How many nodes of a group an update takes at once."""
_NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")


@dataclass(frozen=True)
class NodeGroup:
    """One group, complete."""

    purpose: str
    args: NodeGroupArgs
    role: aws.iam.Role
    security_group: aws.ec2.SecurityGroup
    user_data: pulumi.Output[str]
    spot: bool = False
    untrusted: bool = False


def node_role(
    name: str,
    cluster_role_arn: pulumi.Input[str],
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
    *,
    readable_bucket_arn: pulumi.Input[str] | None = None,
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """A role with which nodes join and pull images, and the policies that it needs before a node starts.

    It has no rights of the VPC CNI: those are the CNI's own, by pod identity.
    """
    role = aws.iam.Role(name, assume_role_policy=service_trust("ec2.amazonaws.com"), tags=own_tags, opts=options)
    policies: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy}",
            role=role.name,
            policy_arn=managed_policy(cluster_role_arn, policy),
            opts=options,
        )
        for policy in _NODE_POLICIES
    ]
    if readable_bucket_arn is not None:
        policies.append(
            aws.iam.RolePolicy(
                f"{name}-runsc",
                role=role.name,
                policy=document(
                    {
                        "Effect": "Allow",
                        "Action": "s3:GetObject",
                        "Resource": pulumi.Output.concat(readable_bucket_arn, "/*"),
                    }
                ),
                opts=options,
            )
        )
    return role, policies


def declare_node_group(
    name: str,
    group: NodeGroup,
    *,
    cluster: aws.eks.Cluster,
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
    own_tags: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource],
) -> aws.eks.NodeGroup:
    """Declare the launch template and the managed node group; `depends_on` is what must outlive the nodes."""
    own_name = f"{name}-{group.purpose}"
    template = _launch_template(own_name, group, own_tags, pulumi.ResourceOptions(parent=parent))
    labels = {CAPACITY_LABEL: "spot" if group.spot else "on-demand"}
    if group.untrusted:
        labels[UNTRUSTED_KEY] = "true"
    return aws.eks.NodeGroup(
        own_name,
        # No fixed name: what replaces a group stands beside it until its pods have moved.
        cluster_name=cluster.name,
        version=cluster.version,
        node_role_arn=group.role.arn,
        subnet_ids=subnet_ids,
        ami_type=group.args.get("ami_type", DEFAULT_AMI_TYPE),
        capacity_type="SPOT" if group.spot else "ON_DEMAND",
        instance_types=group.args["instance_types"],
        launch_template=aws.eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version.apply(str)),
        scaling_config=aws.eks.NodeGroupScalingConfigArgs(
            min_size=group.args["minimum"], max_size=group.args["maximum"], desired_size=group.args["desired"]
        ),
        update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable_percentage=MAX_UNAVAILABLE_PERCENT),
        node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
        labels=labels,
        taints=[aws.eks.NodeGroupTaintArgs(key=UNTRUSTED_KEY, value="true", effect="NO_SCHEDULE")]
        if group.untrusted
        else None,
        tags=own_tags,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=list(depends_on),
            # Autoscalers move it.
            ignore_changes=["scalingConfig.desiredSize"],
        ),
    )


def _launch_template(
    name: str, group: NodeGroup, own_tags: Mapping[str, pulumi.Input[str]], options: pulumi.ResourceOptions
) -> aws.ec2.LaunchTemplate:
    return aws.ec2.LaunchTemplate(
        name,
        update_default_version=True,
        # Without a group of its own here, EKS would attach its own, which lets all nodes reach each other.
        vpc_security_group_ids=[group.security_group.id],
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled",
            http_tokens="required",
            # One hop: a pod's packets make two, so no pod reaches the node's credentials.
            http_put_response_hop_limit=1,
            instance_metadata_tags="disabled",
        ),
        block_device_mappings=[
            aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                device_name="/dev/xvda",
                ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                    volume_type="gp3",
                    volume_size=group.args["disk_gibibytes"],
                    encrypted="true",
                    delete_on_termination="true",
                ),
            )
        ],
        monitoring=aws.ec2.LaunchTemplateMonitoringArgs(enabled=True),
        user_data=group.user_data,
        tag_specifications=[
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags={**own_tags, "Name": name})
            for kind in ("instance", "volume", "network-interface")
        ],
        tags=own_tags,
        opts=options,
    )
