"""What Karpenter's controller may do: only with machines that carry this cluster's tags.

The statements follow Karpenter's own: https://karpenter.sh/docs/reference/cloudformation/, without the management of
instance profiles, which node classes that name one do not need.
"""

import json
from typing import Any

import pulumi

from agent_fleet.aws.policy_documents import partition_of, region_of

_CREATED = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
_USED = ("security-group", "subnet", "capacity-reservation", "placement-group")
_READ = (
    "ec2:DescribeCapacityReservations",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribePlacementGroups",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
)
_NODE_POOL = {"aws:ResourceTag/karpenter.sh/nodepool": "*"}


def controller_policy(
    *,
    cluster_name: pulumi.Input[str],
    cluster_arn: pulumi.Input[str],
    node_role_arn: pulumi.Input[str],
    instance_profile_arn: pulumi.Input[str],
    queue_arn: pulumi.Input[str],
) -> pulumi.Output[str]:
    """The policy as JSON. Conditions have the cluster's name in their keys, hence the whole text in one piece."""
    return pulumi.Output.all(
        cluster_name=cluster_name,
        cluster_arn=cluster_arn,
        node_role_arn=node_role_arn,
        instance_profile_arn=instance_profile_arn,
        queue_arn=queue_arn,
        partition=partition_of(cluster_arn),
        region=region_of(cluster_arn),
    ).apply(lambda values: json.dumps({"Version": "2012-10-17", "Statement": _statements(**values)}))


def _statements(
    *,
    cluster_name: str,
    cluster_arn: str,
    node_role_arn: str,
    instance_profile_arn: str,
    queue_arn: str,
    partition: str,
    region: str,
) -> list[dict[str, Any]]:
    account = cluster_arn.split(":")[4]
    ec2, own_ec2 = f"arn:{partition}:ec2:{region}:", f"arn:{partition}:ec2:{region}:{account}:"
    owned = {f"aws:ResourceTag/kubernetes.io/cluster/{cluster_name}": "owned"}
    made_for_us = {
        f"aws:RequestTag/kubernetes.io/cluster/{cluster_name}": "owned",
        "aws:RequestTag/eks:eks-cluster-name": cluster_name,
    }
    made_for_pool = {"aws:RequestTag/karpenter.sh/nodepool": "*"}
    created = [f"{own_ec2}{kind}/*" for kind in _CREATED]
    launch = ["ec2:CreateFleet", "ec2:RunInstances"]
    return [
        {
            "Sid": "StartFromImagesAndNetworks",
            "Effect": "Allow",
            "Action": launch,
            "Resource": [f"{ec2}:image/*", f"{ec2}:snapshot/*", *[f"{ec2}*:{kind}/*" for kind in _USED]],
        },
        {
            "Sid": "StartFromOwnTemplates",
            "Effect": "Allow",
            "Action": launch,
            "Resource": f"{own_ec2}launch-template/*",
            "Condition": {"StringEquals": owned, "StringLike": _NODE_POOL},
        },
        {
            "Sid": "StartTagged",
            "Effect": "Allow",
            "Action": [*launch, "ec2:CreateLaunchTemplate"],
            "Resource": created,
            "Condition": {"StringEquals": made_for_us, "StringLike": made_for_pool},
        },
        {
            "Sid": "TagAtTheStart",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": created,
            "Condition": {
                "StringEquals": {
                    **made_for_us,
                    "ec2:CreateAction": ["CreateFleet", "CreateLaunchTemplate", "RunInstances"],
                },
                "StringLike": made_for_pool,
            },
        },
        {
            "Sid": "TagOwnNodes",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": f"{own_ec2}instance/*",
            "Condition": {
                "StringEquals": owned,
                "StringLike": _NODE_POOL,
                "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": cluster_name},
                "ForAllValues:StringEquals": {
                    "aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
                },
            },
        },
        {
            "Sid": "EndOwnNodes",
            "Effect": "Allow",
            "Action": ["ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"],
            "Resource": [f"{own_ec2}instance/*", f"{own_ec2}launch-template/*"],
            "Condition": {"StringEquals": owned, "StringLike": _NODE_POOL},
        },
        {
            "Sid": "GiveNodesTheirRole",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": node_role_arn,
            "Condition": {"StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]}},
        },
        {
            "Sid": "ReadNodesProfile",
            "Effect": "Allow",
            "Action": "iam:GetInstanceProfile",
            "Resource": instance_profile_arn,
        },
        {"Sid": "FindTheCluster", "Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": cluster_arn},
        {
            "Sid": "HearOfInterruptions",
            "Effect": "Allow",
            "Action": ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
            "Resource": queue_arn,
        },
        {
            # EC2's Describe actions, and the price list, know no narrower resource.
            "Sid": "ReadTheRegion",
            "Effect": "Allow",
            "Action": list(_READ),
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestedRegion": region}},
        },
        {"Sid": "ReadPrices", "Effect": "Allow", "Action": "pricing:GetProducts", "Resource": "*"},
        {
            "Sid": "FindNodeImages",
            "Effect": "Allow",
            "Action": "ssm:GetParameter",
            "Resource": f"arn:{partition}:ssm:{region}::parameter/aws/service/*",
        },
    ]
