"""Endpoints inside the VPC, so that images, queue, logs and the AWS APIs need no internet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi
import pulumi_aws as aws

INTERFACE_ENDPOINTS = (
    "autoscaling",
    "ec2",
    "ecr.api",
    "ecr.dkr",
    "eks",
    "eks-auth",
    "elasticfilesystem",
    "elasticloadbalancing",
    "kms",
    "logs",
    "sqs",
    "ssm",
    "sts",
)
"""What a cluster without internet calls: https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html"""


class Tag(Protocol):
    """Makes the tags of a resource of the given name."""

    def __call__(
        self, name: str, extra: Mapping[str, pulumi.Input[str]] | None = None
    ) -> Mapping[str, pulumi.Input[str]]:
        """The tags."""
        ...


@dataclass(frozen=True)
class Endpoints:
    """What was declared."""

    ids: list[pulumi.Output[str]]
    security_group_id: pulumi.Output[str]
    s3_prefix_list_id: pulumi.Output[str]


def declare_endpoints(
    name: str,
    *,
    region: str,
    services: Sequence[str],
    vpc_id: pulumi.Output[str],
    cidr: str,
    subnet_ids: Sequence[pulumi.Output[str]],
    route_table_ids: Sequence[pulumi.Output[str]],
    tag: Tag,
    options: pulumi.ResourceOptions,
) -> Endpoints:
    """Declare the gateway to S3, which is free, and one interface endpoint for each service."""
    group = aws.ec2.SecurityGroup(
        f"{name}-endpoints",
        description="HTTPS from the VPC to the endpoints of AWS services",
        vpc_id=vpc_id,
        tags=tag(f"{name}-endpoints"),
        opts=options,
    )
    rule = aws.vpc.SecurityGroupIngressRule(
        f"{name}-endpoints",
        security_group_id=group.id,
        description="HTTPS from the VPC",
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        cidr_ipv4=cidr,
        tags=tag(f"{name}-endpoints"),
        opts=options,
    )
    # ECR keeps image layers in S3.
    s3 = aws.ec2.VpcEndpoint(
        f"{name}-s3",
        vpc_id=vpc_id,
        service_name=f"com.amazonaws.{region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=route_table_ids,
        tags=tag(f"{name}-s3"),
        opts=options,
    )
    interfaces = [
        aws.ec2.VpcEndpoint(
            f"{name}-{service}",
            vpc_id=vpc_id,
            service_name=f"com.amazonaws.{region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=subnet_ids,
            security_group_ids=[group.id],
            tags=tag(f"{name}-{service}"),
            opts=options,
        )
        for service in services
    ]
    return Endpoints(
        ids=[s3.id, rule.id, *[each.id for each in interfaces]],
        security_group_id=group.id,
        s3_prefix_list_id=s3.prefix_list_id,
    )
