"""What a host may do in AWS: be entered through Session Manager, and what its own programs need, by name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import Statement, document, service_trust

_ECR_IMAGE = re.compile(
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?P<china>\.cn)?/(?P<repository>[a-z0-9/._-]+)"
)

_SESSION_MANAGER: Statement = {
    # These know no narrower resource: https://docs.aws.amazon.com/service-authorization/latest/reference/. AWS's own
    # AmazonSSMManagedInstanceCore would add the right to read every parameter of the account.
    "Sid": "BeEnteredThroughSessionManager",
    "Effect": "Allow",
    "Action": [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ],
    "Resource": "*",
}


@dataclass(frozen=True)
class InstanceRole:
    """A role, and the profile by which instances get it."""

    role: aws.iam.Role
    profile: aws.iam.InstanceProfile
    ready: Sequence[pulumi.Resource]
    """What must be there before the first instance starts: without its rights it could not fetch its secrets."""


def declare_instance_role(
    name: str,
    statements: Sequence[Statement],
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> InstanceRole:
    """A role for EC2 with these rights alone, and with Session Manager's, which stands in SSH's place."""
    role = aws.iam.Role(name, assume_role_policy=service_trust("ec2.amazonaws.com"), tags=own_tags, opts=options)
    policy = aws.iam.RolePolicy(name, role=role.name, policy=document(_SESSION_MANAGER, *statements), opts=options)
    profile = aws.iam.InstanceProfile(name, role=role.name, tags=own_tags, opts=options)
    return InstanceRole(role, profile, (policy, profile))


def ecr_repository(image: str) -> str | None:
    """The ARN of the ECR repository that an image is in; None for one from elsewhere."""
    found = _ECR_IMAGE.match(image)
    if found is None:
        return None
    partition = "aws-cn" if found["china"] else "aws-us-gov" if found["region"].startswith("us-gov-") else "aws"
    return f"arn:{partition}:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"


def pull_images(images: Sequence[pulumi.Input[str]]) -> list[Statement]:
    """To pull from the repositories of these images and from no other. Images from elsewhere need no right."""

    def arns(references: list[str]) -> list[str]:
        # A policy's resource cannot be empty; this one is nobody's.
        return sorted({arn for each in references if (arn := ecr_repository(each)) is not None}) or [
            "arn:aws:ecr:*:000000000000:repository/none"
        ]

    return [
        # A token is for the whole registry, and good for what the role may pull besides.
        {"Sid": "LogIn", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Sid": "PullOwnImages",
            "Effect": "Allow",
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": pulumi.Output.all(*images).apply(arns),
        },
    ]


def read_secrets(arns: Sequence[pulumi.Input[str]]) -> Statement:
    """To read these secrets of Secrets Manager, at boot."""
    return {
        "Sid": "ReadOwnSecrets",
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": list(arns),
    }


def write_logs(group_arn: pulumi.Input[str]) -> Statement:
    """To write to one log group. The group itself is declared: nobody may make one that is kept for ever."""
    return {
        "Sid": "WriteOwnLogs",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        "Resource": [group_arn, pulumi.Output.concat(group_arn, ":*")],
    }


def put_metrics(namespace: str) -> Statement:
    """To write metrics of one namespace. CloudWatch knows no narrower resource."""
    return {
        "Sid": "PutOwnMetrics",
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": namespace}},
    }
