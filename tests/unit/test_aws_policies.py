"""Every IAM document that the components of AWS write: what it allows, to whom, on what."""

from collections.abc import Mapping
from typing import Any

from aws_fleet import cloud, policy_documents, statements

UNNARROWABLE = {
    # EC2's Describe actions and the price list know no resource: the Service Authorization Reference has `*` alone.
    "pricing:GetProducts",
}
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
