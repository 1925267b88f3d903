"""IAM policy documents as JSON, made while the program runs without asking AWS for anything."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

Statement = Mapping[str, Any]


def document(*statements: Statement) -> pulumi.Output[str]:
    """A policy of these statements; their values may be outputs."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def service_trust(*services: str) -> str:
    """Who may assume the role: AWS services, by their names."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
                for service in services
            ],
        }
    )


def pod_identity_trust(
    cluster_arn: pulumi.Input[str], namespace: pulumi.Input[str], service_account: pulumi.Input[str]
) -> pulumi.Output[str]:
    """EKS Pod Identity may assume the role, for this one service account of this one cluster.

    The conditions name the session tags that EKS sets: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
    """
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/eks-cluster-arn": cluster_arn,
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": service_account,
                }
            },
        }
    )


def tls_only(action: str, resources: Sequence[pulumi.Input[str]]) -> Statement:
    """Refuse every caller that does not come over TLS."""
    return {
        "Sid": "RefusePlainText",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def account_of(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The account that an ARN belongs to."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.split(":")[4])


def partition_of(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """`aws`, `aws-cn` or `aws-us-gov`."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.split(":")[1])


def region_of(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The region that an ARN belongs to."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.split(":")[3])


def managed_policy(arn: pulumi.Input[str], name: str) -> pulumi.Output[str]:
    """The ARN of a policy that AWS maintains, in the partition of `arn`."""
    return pulumi.Output.concat("arn:", partition_of(arn), ":iam::aws:policy/", name)


def key_policy(role_arn: pulumi.Input[str], *statements: Statement) -> pulumi.Output[str]:
    """A KMS key's policy: the account of `role_arn` administers it through IAM, and what else is said."""
    return document(
        {
            "Sid": "AccountAdministers",
            "Effect": "Allow",
            "Principal": {
                "AWS": pulumi.Output.concat("arn:", partition_of(role_arn), ":iam::", account_of(role_arn), ":root")
            },
            "Action": "kms:*",
            "Resource": "*",
        },
        *statements,
    )
