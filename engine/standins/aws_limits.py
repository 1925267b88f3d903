"""Limits of AWS that no type shows, and that it tells of only when a resource is made.

From each service's quotas and API reference: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
"""

from collections.abc import Mapping
from typing import Any

from engine.standins.aws_identifiers import kind
from engine.standins.type_check import Failure
from engine.standins.values import reveal

_LONGEST_NAMES = {
    "ec2/launchTemplate": ("name", 128),
    "ec2/securityGroup": ("name", 255),
    "ecr/repository": ("name", 256),
    "eks/cluster": ("name", 100),
    "eks/nodeGroup": ("nodeGroupName", 63),
    "elasticache/replicationGroup": ("replicationGroupId", 40),
    "iam/instanceProfile": ("name", 128),
    "iam/policy": ("name", 128),
    "iam/role": ("name", 64),
    "rds/instance": ("identifier", 63),
    "s3/bucket": ("bucket", 63),
    "sqs/queue": ("name", 80),
}


def failures(token: str, inputs: Mapping[str, Any]) -> list[Failure]:
    """What AWS would refuse; unknown values are left to it."""
    field, longest = _LONGEST_NAMES.get(kind(token), ("", 0))
    name = reveal(inputs.get(field)) if field else None
    if isinstance(name, str) and len(name) > longest:
        return [Failure(field, f"has {len(name)} characters: {name!r}. AWS takes {longest}; choose a shorter name.")]
    return []
