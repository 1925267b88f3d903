"""What the aws stand-in answers, held against what AWS would, without an engine."""

from collections.abc import Mapping
from typing import Any

import pytest

from engine.standins import aws_limits
from engine.standins.aws_identifiers import Identity
from engine.standins.aws_outputs import computed
from engine.standins.sdk_types import resource_type

REGION = "eu-central-1"


def made_up(token: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The id and the outputs of one resource."""
    resource = resource_type(token)
    assert resource is not None
    identity = Identity(f"urn::{token}", token, inputs, REGION)
    return identity.id, computed(identity, resource.outputs, {})


@pytest.mark.parametrize(
    ("token", "inputs", "expected"),
    [
        ("aws:eks/accessEntry:AccessEntry", {"clusterName": "c", "principalArn": "arn:x"}, "c:arn:x"),
        (
            "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
            {"clusterName": "c", "principalArn": "arn:x", "policyArn": "arn:p"},
            "c#arn:x#arn:p",
        ),
        ("aws:iam/rolePolicy:RolePolicy", {"role": "r", "name": "n"}, "r:n"),
        ("aws:sqs/queuePolicy:QueuePolicy", {"queueUrl": "https://q"}, "https://q"),
        ("aws:eks/addon:Addon", {"clusterName": "c", "addonName": "coredns"}, "c:coredns"),
        ("aws:kms/keyPolicy:KeyPolicy", {"keyId": "k"}, "k"),
    ],
)
def test_an_id_is_made_of_what_the_official_provider_makes_it_of(
    token: str, inputs: dict[str, Any], expected: str
) -> None:
    """A program that imports or compares ids would work here and fail there."""
    assert made_up(token, inputs)[0] == expected


def test_only_a_gateway_has_a_prefix_list() -> None:
    """A rule would name a list that no interface endpoint has."""
    token, service = "aws:ec2/vpcEndpoint:VpcEndpoint", f"com.amazonaws.{REGION}.s3"
    gateway = made_up(token, {"serviceName": service, "vpcEndpointType": "Gateway"})[1]
    interface = made_up(token, {"serviceName": service, "vpcEndpointType": "Interface", "subnetIds": ["a", "b"]})[1]
    assert gateway["prefixListId"].startswith("pl-")
    assert "prefixListId" not in interface
    assert len(interface["networkInterfaceIds"]) == 2


def test_a_name_that_aws_would_refuse_is_refused_with_its_limit() -> None:
    """A role's name one character too long fails minutes into a deployment."""
    assert aws_limits.failures("aws:iam/role:Role", {"name": "a" * 64}) == []
    (failure,) = aws_limits.failures("aws:iam/role:Role", {"name": "a" * 65})
    assert failure.path == "name"
    assert "has 65 characters" in failure.reason
    assert "AWS takes 64" in failure.reason
