"""The cluster on EKS: its posture, its add-ons, and who may enter."""

import json
from typing import Any

import pytest
from agent_fleet.aws.cluster_addons import ALL_ADDONS
from agent_fleet.versions import addon_versions
from aws_fleet import ADDON, ADMINISTRATOR, NODE_GROUP, addons, cloud, cluster, known, needs, urns
from recording import FLEET


def test_the_api_server_is_private(preview: bool) -> None:
    """Anybody could try the API server (A38, A39, CIS 5.4.2)."""
    network = cluster(cloud(preview)).inputs["vpcConfig"]
    assert network["endpointPrivateAccess"] is True
    assert network["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in network


def test_a_public_endpoint_is_for_the_addresses_that_were_named(preview: bool) -> None:
    """A public endpoint without a list is open to the world."""
    network = cluster(cloud(preview, public_endpoint_cidrs=("198.51.100.0/24",))).inputs["vpcConfig"]
    assert network["endpointPublicAccess"] is True
    assert network["publicAccessCidrs"] == ["198.51.100.0/24"]
    assert network["endpointPrivateAccess"] is True


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"public_endpoint_cidrs": ("0.0.0.0/0",)}, "which is everybody"),
        ({"version": "1.29"}, "this release deploys 1.34"),
        ({"administrators": ()}, "name at least the IAM role that deploys"),
        ({"administrators": ("arn:aws:sts::000000000000:assumed-role/platform/me",)}, "name the role that it is a"),
        ({"addon_versions": {"vpc_cni": "v1"}}, "the cluster's add-ons are"),
    ],
)
def test_what_eks_would_refuse_later_is_refused_at_once(preview: bool, given: dict[str, Any], said: str) -> None:
    """Twenty minutes would be lost, or a cluster that nobody can enter would be there."""
    from aws_fleet import declare
    from recording import record

    with pytest.raises(ValueError, match=said):
        record(lambda: declare(**given), preview=preview)


def test_secrets_are_under_a_key_of_ours_that_rotates(preview: bool) -> None:
    """Whoever reads etcd's disk would read them (A58, A7)."""
    found = cloud(preview)
    assert cluster(found).inputs["encryptionConfig"]["resources"] == ["secrets"]
    keys = found.of_type("aws:kms/key:Key")
    assert len(keys) == 4
    assert all(each.inputs["enableKeyRotation"] is True for each in keys)
    assert f"{FLEET}-secrets" in cluster(found).dependencies


def test_all_logs_are_kept_in_a_group_that_is_there_first(preview: bool) -> None:
    """EKS would make the group itself, and keep everything for ever (A37, A66)."""
    found = cloud(preview)
    assert set(cluster(found).inputs["enabledClusterLogTypes"]) == {
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    }
    group = found.one("aws:cloudwatch/logGroup:LogGroup", f"{FLEET}-control-plane")
    assert group.inputs["name"] == f"/aws/eks/{cluster(found).inputs['name']}/cluster"
    assert group.inputs["retentionInDays"] == 30
    assert group.urn in cluster(found).dependency_urns


def test_nobody_enters_but_who_is_listed(preview: bool) -> None:
    """Whoever deployed would stay an administrator that no list shows (CIS 4.1.1, 4.1.7)."""
    found = cloud(preview)
    assert cluster(found).inputs["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }
    entries = {each.inputs["principalArn"]: each for each in found.of_type("aws:eks/accessEntry:AccessEntry")}
    people = [arn for arn, each in entries.items() if each.inputs["type"] == "STANDARD"]
    assert people == [ADMINISTRATOR]
    (association,) = found.of_type("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert association.inputs["accessScope"] == {"type": "cluster"}


def test_no_add_on_is_there_unasked_and_all_have_pinned_versions(preview: bool) -> None:
    """A new cluster would differ from the one that was tested."""
    found = cloud(preview)
    assert cluster(found).inputs["bootstrapSelfManagedAddons"] is False
    versions = {name: each.inputs["addonVersion"] for name, each in addons(found).items()}
    assert versions == dict(addon_versions("1.36"))
    assert set(versions) == {each.name for each in ALL_ADDONS}


def test_a_named_add_on_version_goes_before_the_table(preview: bool) -> None:
    """A withdrawn build could only be left by a new release."""
    found = addons(cloud(preview, addon_versions=_Frozen({"coredns": "v9.9.9-eksbuild.1"})))
    assert found["coredns"].inputs["addonVersion"] == "v9.9.9-eksbuild.1"
    assert found["kube-proxy"].inputs["addonVersion"] == addon_versions("1.36")["kube-proxy"]


def test_a_new_pod_is_closed_until_a_policy_opens_it(preview: bool) -> None:
    """In the CNI's standard mode untrusted code has its first moments on an open network (CIS 5.4.4)."""
    settings = json.loads(addons(cloud(preview))["vpc-cni"].inputs["configurationValues"])
    assert settings["enableNetworkPolicy"] == "true"
    assert settings["env"]["NETWORK_POLICY_ENFORCING_MODE"] == "strict"


def test_add_ons_that_wait_for_dns_do_not_wait_for_its_policies(preview: bool) -> None:
    """CoreDNS is healthy only with its policies, and so would never be if they waited for the cluster."""
    found = cloud(preview)
    policies = found.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert len(policies) == 3
    provider = next(each for each in found.resources if each.type == "pulumi:providers:kubernetes")
    waits = needs(found, provider)
    assert cluster(found).urn in waits
    assert not waits & urns([*found.of_type(ADDON), *found.of_type(NODE_GROUP)])
    # Nobody may enter before there is an entry.
    assert urns(found.of_type("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")) <= waits


def test_every_identity_has_a_role_of_its_own(preview: bool) -> None:
    """One workload's rights would be another's (CIS 5.2.1)."""
    found = cloud(preview)
    identities: list[tuple[str, Any]] = []
    for each in found.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation"):
        identities.append((each.inputs["serviceAccount"], each.inputs["roleArn"]))
    for each in addons(found).values():
        for association in each.inputs.get("podIdentityAssociations", []):
            identities.append((association["serviceAccount"], association["roleArn"]))
    accounts = [account for account, _ in identities]
    assert {"aws-node", "ebs-csi-controller-sa", "efs-csi-controller-sa", "karpenter", "testing"} == set(accounts)
    assert "default" not in accounts
    roles = [role for _, role in identities if known(role)]
    assert len(roles) == len(set(roles))
    assert preview or len(roles) == len(identities)


def test_a_cluster_leaves_standard_support_by_an_upgrade(preview: bool) -> None:
    """It would silently cost six times as much."""
    assert cluster(cloud(preview)).inputs["upgradePolicy"] == {"supportType": "STANDARD"}


def test_the_kubeconfig_is_secret_and_holds_no_credentials(preview: bool) -> None:
    """Whoever reads the state could enter the cluster."""
    found = cloud(preview)
    provider = next(each for each in found.resources if each.type == "pulumi:providers:kubernetes")
    assert "kubeconfig" in provider.secret_inputs
    if preview:
        return
    given = json.loads(found.result["Cluster.kubeconfig"])
    (user,) = given["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["args"][:3] == ["--region", "eu-central-1", "eks"]
    assert found.result["Cluster.identifier"] == given["clusters"][0]["cluster"]["server"]


def test_without_karpenter_nothing_of_it_is_there(preview: bool) -> None:
    """An unused role that may start machines is somebody's way in."""
    found = cloud(preview, karpenter=False)
    assert not [each.name for each in found.resources if "karpenter" in each.name]


def test_karpenter_hears_of_every_interruption(preview: bool) -> None:
    """Spot nodes would go with their jobs unannounced."""
    found = cloud(preview)
    events = {
        kind
        for each in found.of_type("aws:cloudwatch/eventRule:EventRule")
        for kind in json.loads(each.inputs["eventPattern"])["detail-type"]
    }
    assert {"EC2 Spot Instance Interruption Warning", "AWS Health Event"} <= events
    targets = found.of_type("aws:cloudwatch/eventTarget:EventTarget")
    assert len(targets) == len(found.of_type("aws:cloudwatch/eventRule:EventRule")) == 5
    (entry,) = [each for each in found.of_type("aws:eks/accessEntry:AccessEntry") if each.inputs["type"] == "EC2_LINUX"]
    assert "karpenter-nodes" in entry.name


class _Frozen(dict[str, str]):
    """A dictionary that a cache can remember."""

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(tuple(sorted(self.items())))
