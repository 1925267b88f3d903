"""Every IAM document of every stack on AWS, judged by parliament: actions, resources and conditions that fit."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import aws_fleet
import pytest
import queue_fleet
from recording import Recording
from test_host_stack import declared

with warnings.catch_warnings():
    # It imports pkg_resources, which says of itself that it is deprecated.
    warnings.simplefilter("ignore")
    from parliament import analyze_policy_string  # pyright: ignore[reportUnknownVariableType]

STACKS = ("dev", "staging", "prod")
EXCEPTIONS = {
    # A start needs rights on machine, image and network at once, each under conditions of its own: parliament wants
    # all in one statement.
    ("RESOURCE_MISMATCH", "ec2:CreateFleet"),
    ("RESOURCE_MISMATCH", "ec2:RunInstances"),
    # The parameters under /aws/service are AWS's own, and their ARNs have no account.
    ("RESOURCE_MISMATCH", "ssm:GetParameter"),
    ("RESOURCE_STAR", "pricing:GetProducts"),
}
"""What parliament finds and is right all the same."""
_LEAST = {"dev": 2, "staging": 3, "prod": 5}


def recording(stack: str) -> Recording:
    """A stack on AWS as it is declared, with everything known; for EKS, all components of its cloud."""
    match stack:
        case "dev":
            return declared(False)
        case "staging":
            return queue_fleet.deployed(False)
        case _:
            return aws_fleet.cloud(False)


def identity_policies(stack: str) -> dict[str, Mapping[str, Any]]:
    """What the stack's roles may do, by the role's policy."""
    return {
        each.name: document
        for each, field, document in aws_fleet.policy_documents(recording(stack))
        if field == "policy" and "iam/" in each.type
    }


def findings(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What parliament finds and is no exception: the issue, and the action or what else it is about."""
    found: list[tuple[str, str]] = []
    for each in analyze_policy_string(json.dumps(document)).findings:
        details: Any = each.detail if isinstance(each.detail, list) else [each.detail]
        for detail in details:
            action = str(detail["action"]) if isinstance(detail, dict) and "action" in detail else str(detail)
            described = each.issue == "RESOURCE_STAR" and action.startswith("ec2:Describe")
            if (each.issue, action) not in EXCEPTIONS and not described:
                found.append((str(each.issue), action))
    return found


def test_a_misspelt_action_and_a_wrong_resource_are_found() -> None:
    """A judge that finds nothing wrong here judges nothing."""
    queue = "arn:aws:sqs:eu-central-1:000000000000:q"
    for action, resource, issue in (
        ("sqs:ReceiveMessag", queue, "UNKNOWN_ACTION"),
        ("sqs:ReceiveMessage", "arn:aws:s3:::q", "RESOURCE_MISMATCH"),
    ):
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        assert [name for name, _ in findings({"Version": "2012-10-17", "Statement": [statement]})] == [issue]


@pytest.mark.parametrize("stack", STACKS)
def test_parliament_finds_nothing_in_what_roles_may_do(stack: str) -> None:
    """A misspelt action allows nothing, and a wrong kind of resource neither: both only show when something fails."""
    policies = identity_policies(stack)
    assert len(policies) >= _LEAST[stack], "a judgement over nothing passes"
    assert {name: found for name, document in policies.items() if (found := findings(document))} == {}


@pytest.mark.parametrize("stack", STACKS)
def test_documents_of_queues_keys_and_trust_are_well_formed(stack: str) -> None:
    """parliament knows the parts of documents that stand on a resource too; a wrong one locks everybody out."""
    judged = 0
    for each, field, document in aws_fleet.policy_documents(recording(stack)):
        if field == "policy" and "iam/" in each.type:
            continue
        judged += 1
        # A trust has no resource, and a key's policy means itself by `*`: parliament asks for both in a role's.
        issues = {name for name, _ in findings(document)} - {"RESOURCE_STAR", "MALFORMED"}
        assert issues == set(), f"{each.type} {each.name}"
    assert judged >= 2
