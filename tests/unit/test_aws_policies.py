"""Every IAM document that the components of AWS write: what it allows, to whom, on what."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_fleet import cloud, policy_documents, statements

PARLIAMENT = "1.6.4"
UNNARROWABLE = {
    # EC2's Describe actions and the price list know no resource: the Service Authorization Reference has `*` alone.
    "pricing:GetProducts",
}
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
ESCALATIONS = {
    "iam:AttachRolePolicy",
    "iam:CreateAccessKey",
    "iam:CreatePolicyVersion",
    "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy",
    "sts:AssumeRole",
}


def documents(field: str) -> dict[str, Mapping[str, Any]]:
    """The known documents of one input, by the resource that has them. Without a preview, all are known."""
    return {
        f"{each.type}::{each.name}": document for each, at, document in policy_documents(cloud(False)) if at == field
    }


def identity_policies() -> dict[str, Mapping[str, Any]]:
    """What roles may do."""
    return {name: each for name, each in documents("policy").items() if "iam/rolePolicy" in name}


def resource_policies() -> dict[str, Mapping[str, Any]]:
    """What keys, queues and file systems let others do."""
    return {name: each for name, each in documents("policy").items() if "iam/rolePolicy" not in name}


def test_there_is_something_to_judge() -> None:
    """A judgement over nothing passes."""
    assert len(identity_policies()) >= 5
    assert len(resource_policies()) >= 8
    assert len(documents("assumeRolePolicy")) >= 10


def test_no_document_allows_all_actions() -> None:
    """Whoever takes over one program would have the account (A62, A63)."""
    for name, document in {**identity_policies(), **documents("assumeRolePolicy")}.items():
        for each in statements(document):
            assert not [action for action in each["Action"] if action == "*" or action.endswith(":*")], name
            assert "NotAction" not in each, name


def test_every_right_is_narrowed_where_aws_can() -> None:
    """One fleet's role would reach another's things (A355)."""
    for name, document in identity_policies().items():
        for each in statements(document):
            if "*" in each["Resource"]:
                wide = {action for action in each["Action"] if not action.startswith("ec2:Describe")}
                assert wide <= UNNARROWABLE, name
                assert not any(action.startswith("ec2:") for action in each["Action"]) or each["Condition"], name
            assert "NotResource" not in each, name


def test_no_role_can_give_itself_more() -> None:
    """Least privilege would be a step on the way (A286, A287)."""
    for name, document in identity_policies().items():
        for each in statements(document):
            assert not ESCALATIONS & set(each["Action"]), name
            if "iam:PassRole" in each["Action"]:
                assert all(":role/" in resource and "*" not in resource for resource in each["Resource"]), name
                assert each["Condition"]["StringEquals"]["iam:PassedToService"], name


def test_roles_trust_services_and_pods_of_one_service_account() -> None:
    """Any pod of any cluster in the account could take a role (BP)."""
    for name, document in documents("assumeRolePolicy").items():
        (each,) = statements(document)
        assert set(each["Principal"]) == {"Service"}, name
        if each["Principal"]["Service"] == "pods.eks.amazonaws.com":
            condition = each["Condition"]["StringEquals"]
            assert set(condition) == {
                "aws:RequestTag/eks-cluster-arn",
                "aws:RequestTag/kubernetes-namespace",
                "aws:RequestTag/kubernetes-service-account",
            }, name
            assert all("*" not in value for value in condition.values()), name


def test_who_may_come_without_a_name_must_come_by_a_mount() -> None:
    """A queue or a key would be open to every account (A33, A72, A168)."""
    for name, document in resource_policies().items():
        for each in statements(document):
            if each["Effect"] == "Allow" and each["Principal"] in ("*", {"AWS": "*"}):
                assert "efs/fileSystemPolicy" in name
                assert each["Condition"]["Bool"] == {"elasticfilesystem:AccessedViaMountTarget": "true"}


def test_queues_and_files_refuse_plain_text() -> None:
    """Rings and files would be readable on the way (A27)."""
    kinds = {"sqs/queuePolicy", "efs/fileSystemPolicy"}
    found = {name: each for name, each in resource_policies().items() if any(kind in name for kind in kinds)}
    assert len(found) == 4
    for name, document in found.items():
        denials = [each for each in statements(document) if each["Effect"] == "Deny"]
        assert denials, name
        assert denials[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, name


def test_keys_belong_to_the_account_alone() -> None:
    """A key that others may use, or nobody administers, is none (A33)."""
    found = {name: each for name, each in resource_policies().items() if "kms/" in name}
    assert len(found) == 4
    for name, document in found.items():
        (each,) = statements(document)
        assert each["Principal"] == {"AWS": "arn:aws:iam::000000000000:root"}, name


def test_only_managed_policies_of_the_components_purpose_are_attached(preview: bool) -> None:
    """AdministratorAccess on a node is an administrator for every sandbox that breaks out (A274)."""
    found = cloud(preview).of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    attached = {
        each.inputs["policyArn"].partition("policy/")[2] for each in found if isinstance(each.inputs["policyArn"], str)
    }
    assert attached <= {
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEKSClusterPolicy",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "service-role/AmazonEBSCSIDriverPolicy",
        "service-role/AmazonEFSCSIDriverPolicy",
        "service-role/AmazonRDSEnhancedMonitoringRole",
    }
    assert preview or len(attached) == 7
    # The rights of the CNI are the CNI's and not the nodes'.
    assert not [each for each in found if "nodes" in each.name and "CNI" in each.name]


def test_parliament_finds_nothing(tmp_path: Path) -> None:
    """A misspelt action allows nothing, and a wrong kind of resource neither: both only show when something fails."""
    for number, (_, document) in enumerate(sorted(identity_policies().items())):
        (tmp_path / f"{number}.json").write_text(json.dumps(document))
    # A judge that finds nothing wrong here judges nothing.
    wrong = {"Effect": "Allow", "Action": "sqs:ReceiveMessag", "Resource": "arn:aws:sqs:eu-central-1:000000000000:q"}
    (tmp_path / "wrong.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [wrong]}))
    uv = Path(sys.executable).parent / "uv"
    command = [
        str(uv), "tool", "run", "--quiet", "--with", "setuptools<80", "--from", f"parliament=={PARLIAMENT}",
        "parliament", "--directory", str(tmp_path), "--include_policy_extension", "json", "--json",
    ]  # fmt: skip
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False)
    if not result.stdout:
        pytest.skip(f"cannot be had here: parliament from the package registry ({result.stderr.strip()[-200:]})")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["detail"] for each in found if not _excepted(each)] == ["Unknown action sqs:ReceiveMessag"]


def _excepted(finding: Mapping[str, Any]) -> bool:
    actions = {each["action"] if isinstance(each, dict) else each for each in finding["detail"]}
    return all((finding["issue"], action) in EXCEPTIONS or _describes(finding["issue"], action) for action in actions)


def _describes(issue: str, action: str) -> bool:
    """EC2's Describe actions take nothing but `*`."""
    return issue == "RESOURCE_STAR" and action.startswith("ec2:Describe")
