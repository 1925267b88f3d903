"""The cluster on EKS: its posture, its nodes, and the order in which it goes."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from agent_fleet.aws.cluster_addons import ALL_ADDONS
from agent_fleet.aws.node_user_data import install_script
from agent_fleet.versions import addon_versions
from aws_fleet import ADMINISTRATOR, NODES, cloud, known, user_data
from recording import FLEET, Declared, Recording

CLUSTER = "aws:eks/cluster:Cluster"
ADDON = "aws:eks/addon:Addon"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
UNTRUSTED = (f"{FLEET}-untrusted", f"{FLEET}-untrusted-spot")


def cluster(recording: Recording) -> Declared:
    """The one cluster."""
    return recording.one(CLUSTER, FLEET)


def addons(recording: Recording) -> dict[str, Declared]:
    """The add-ons by name."""
    return {each.inputs["addonName"]: each for each in recording.of_type(ADDON)}


def needs(recording: Recording, resource: Declared) -> set[str]:
    """The URNs of all that must be there before a resource, and are removed only after it."""
    by_urn = {each.urn: each for each in recording.resources}
    found: set[str] = set()
    waiting: list[str] = list(resource.dependency_urns)
    while waiting:
        urn = waiting.pop()
        if urn not in found:
            found.add(urn)
            waiting += by_urn[urn].dependency_urns if urn in by_urn else ()
    return found


def urns(resources: Iterable[Declared]) -> set[str]:
    """Their URNs."""
    return {each.urn for each in resources}


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


@pytest.mark.parametrize("name", [f"{FLEET}-system", *UNTRUSTED])
class TestEveryNodeGroup:
    """What holds for all nodes."""

    def test_asks_for_tokens_and_lets_no_pod_reach_the_metadata(self, preview: bool, name: str) -> None:
        """A pod would have the node's credentials (A79, A341)."""
        options = cloud(preview).one(TEMPLATE, name).inputs["metadataOptions"]
        assert options["httpTokens"] == "required"
        assert options["httpPutResponseHopLimit"] == 1

    def test_has_an_encrypted_disk_of_the_size_asked_for(self, preview: bool, name: str) -> None:
        """Images, logs and writable layers would lie open on it."""
        (mapping,) = cloud(preview).one(TEMPLATE, name).inputs["blockDeviceMappings"]
        assert mapping["ebs"]["encrypted"] == "true"
        assert mapping["ebs"]["volumeType"] == "gp3"
        assert mapping["ebs"]["volumeSize"] == NODES["disk_gibibytes"]

    def test_takes_its_machine_from_its_own_template(self, preview: bool, name: str) -> None:
        """EKS's own template has neither the metadata's limit nor the group."""
        found = cloud(preview)
        group = found.one(NODE_GROUP, name)
        assert found.one(TEMPLATE, name).urn in group.dependency_urns
        assert "remoteAccess" not in group.inputs
        assert "diskSize" not in group.inputs

    def test_is_bounded_repaired_and_updated_in_parts(self, preview: bool, name: str) -> None:
        """A fault would take all nodes at once, or make ever more of them."""
        group = cloud(preview).one(NODE_GROUP, name)
        scaling = group.inputs["scalingConfig"]
        assert scaling["minSize"] <= scaling["desiredSize"] <= scaling["maxSize"] == NODES["maximum"]
        assert group.inputs["nodeRepairConfig"] == {"enabled": True}
        assert 0 < group.inputs["updateConfig"]["maxUnavailablePercentage"] < 50

    def test_keeps_the_size_that_an_autoscaler_chose(self, preview: bool, name: str) -> None:
        """Every `pulumi up` would take away nodes with running jobs."""
        assert cloud(preview).one(NODE_GROUP, name).ignored_changes == ("scalingConfig.desiredSize",)

    def test_limits_processes_and_logs_of_a_pod(self, preview: bool, name: str) -> None:
        """One pod would take the node's process table, or fill its disk."""
        template = cloud(preview).one(TEMPLATE, name)
        text = user_data(template)
        config = json.loads(text.split("Content-Type: application/node.eks.aws")[1].split("--==")[0])
        kubelet = config["spec"]["kubelet"]["config"]
        assert kubelet["podPidsLimit"] == (1024 if name in UNTRUSTED else 4096)
        assert kubelet["containerLogMaxSize"] == "10Mi"


def test_untrusted_work_has_nodes_role_and_group_of_its_own(preview: bool) -> None:
    """A sandbox that broke out would be beside the fleet's own programs (BP)."""
    found = cloud(preview)
    system = found.one(NODE_GROUP, f"{FLEET}-system")
    assert "taints" not in system.inputs
    for name in UNTRUSTED:
        group = found.one(NODE_GROUP, name)
        assert group.inputs["taints"] == [{"key": "agent-fleet.io/untrusted", "value": "true", "effect": "NO_SCHEDULE"}]
        assert group.inputs["labels"]["agent-fleet.io/untrusted"] == "true"
        template = found.one(TEMPLATE, name)
        assert f"{FLEET}-untrusted-nodes" in template.dependencies
        assert f"{FLEET}-nodes" not in template.dependencies
        if not preview:
            assert group.inputs["nodeRoleArn"] != system.inputs["nodeRoleArn"]
    assert found.one(NODE_GROUP, f"{FLEET}-untrusted-spot").inputs["capacityType"] == "SPOT"
    assert found.one(NODE_GROUP, f"{FLEET}-untrusted").inputs["capacityType"] == "ON_DEMAND"


def test_untrusted_nodes_reach_the_clusters_own_services_alone(preview: bool) -> None:
    """What broke out of its sandbox would have the network (A382)."""
    found = cloud(preview)
    rules = found.of_type("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    untrusted = [each for each in rules if f"{FLEET}-untrusted-nodes" in each.dependencies]
    assert {each.name.removeprefix(f"{FLEET}-untrusted-") for each in untrusted} == {
        "api",
        "endpoints",
        "s3",
        "dns-tcp",
        "dns-udp",
    }
    for each in untrusted:
        assert each.inputs["fromPort"] == each.inputs["toPort"] in (53, 443)
        assert "cidrIpv4" not in each.inputs


def test_nothing_comes_in_from_the_world(preview: bool) -> None:
    """A port would be open to everybody (A24, A25, A260, A277)."""
    rules = cloud(preview, api_client_cidrs=("10.0.0.0/24",)).of_type(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    )
    cidrs = {each.inputs["cidrIpv4"] for each in rules if "cidrIpv4" in each.inputs}
    assert cidrs == {"10.64.0.0/16", "10.0.0.0/24"}
    for each in cloud(preview).of_type("aws:ec2/securityGroup:SecurityGroup"):
        # Rules inside of a group and beside it take each other away.
        assert not {"ingress", "egress"} & each.inputs.keys()


def test_gvisor_is_checked_before_a_node_joins(preview: bool) -> None:
    """Whatever the bucket holds that day would run every sandbox."""
    found = cloud(preview)
    for name in UNTRUSTED:
        text = user_data(found.one(TEMPLATE, name))
        assert 'containerd.runtimes.runsc]\\nruntime_type = \\"io.containerd.runsc.v1\\"' in text
        assert "sha256sum --check --status" in text
        assert "a" * 64 in text
        assert "b" * 64 in text
        assert "systemctl poweroff" in text
    assert "runsc" not in user_data(found.one(TEMPLATE, f"{FLEET}-system"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("runsc_sha256", "abc"),
        ("shim_sha256", "A" * 64),
        ("runsc_uri", "http://tools/runsc"),
        ("shim_uri", "s3://tools/shim'; reboot; '"),
    ],
)
def test_a_checksum_or_address_that_is_none_is_refused(field: str, value: str) -> None:
    """It would go into a script that runs as root on every node."""
    good = {"runsc_uri": "s3://t/r", "runsc_sha256": "a" * 64, "shim_uri": "s3://t/s", "shim_sha256": "b" * 64}
    assert "s3://t/r" in install_script(good)
    with pytest.raises(ValueError, match=f"runsc.{field}"):
        install_script({**good, field: value})


class TestTheOrderOfRemoval:
    """What depends on a resource is removed before it; a wrong order leaves network interfaces behind."""

    def test_nodes_go_before_the_cni(self, preview: bool) -> None:
        """Interfaces that the CNI added to a node would hold subnets and groups for ever (pulumi-eks #1226)."""
        found = cloud(preview)
        cni = addons(found)["vpc-cni"]
        for group in found.of_type(NODE_GROUP):
            assert cni.urn in needs(found, group)
        assert not needs(found, cni) & urns(found.of_type(NODE_GROUP))

    def test_what_runs_on_nodes_goes_before_the_nodes(self, preview: bool) -> None:
        """An add-on without nodes never becomes healthy, and volumes would stay attached."""
        found = cloud(preview)
        groups = urns(found.of_type(NODE_GROUP))
        assert len(groups) == 3
        for name in ("coredns", "metrics-server", "aws-ebs-csi-driver", "aws-efs-csi-driver"):
            assert groups <= needs(found, addons(found)[name])

    def test_nodes_go_before_rules_roles_and_the_way_out(self, preview: bool) -> None:
        """A node that is being drained could no longer say so, and hangs until a time-out."""
        found = cloud(preview, nat="one")
        wanted = urns(
            each
            for kind in ("ec2/vpcEndpoint:VpcEndpoint", "ec2/route:Route", "ec2/subnet:Subnet")
            for each in found.of_type(f"aws:{kind}")
            if "-public" not in each.name
        )
        wanted |= urns(
            each
            for kind in ("Ingress", "Egress")
            for each in found.of_type(f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule")
            if each.name.startswith((f"{FLEET}-nodes", f"{FLEET}-untrusted", f"{FLEET}-control-plane"))
        )
        wanted |= urns(
            each
            for each in found.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
            if each.name.startswith((f"{FLEET}-nodes-", f"{FLEET}-untrusted-"))
        )
        assert len(wanted) > 30
        for group in found.of_type(NODE_GROUP):
            assert wanted <= needs(found, group)

    def test_the_cluster_goes_before_its_rights_and_groups(self, preview: bool) -> None:
        """EKS removes its own network interfaces with the role's rights."""
        found = cloud(preview)
        waits = needs(found, cluster(found))
        assert found.one("aws:iam/rolePolicyAttachment:RolePolicyAttachment", f"{FLEET}-cluster").urn in waits
        assert found.one("aws:ec2/securityGroup:SecurityGroup", f"{FLEET}-control-plane").urn in waits
        assert urns(each for each in found.of_type("aws:ec2/subnet:Subnet")) <= waits


@pytest.mark.parametrize("protected", [True, False])
def test_what_cannot_be_made_again_is_protected_outside_throw_away_stacks(preview: bool, protected: bool) -> None:
    """One wrong command would take the fleet and its data."""
    found = cloud(preview, protected=protected)
    for kind in (
        "eks/cluster:Cluster",
        "rds/instance:Instance",
        "efs/fileSystem:FileSystem",
        "ecr/repository:Repository",
    ):
        for each in found.of_type(f"aws:{kind}"):
            assert each.protect is protected
    assert cluster(found).inputs["deletionProtection"] is protected
    assert all(each.protect is protected for each in found.of_type("aws:kms/key:Key"))


def test_a_cluster_leaves_standard_support_by_an_upgrade(preview: bool) -> None:
    """It would silently cost six times as much."""
    assert cluster(cloud(preview)).inputs["upgradePolicy"] == {"supportType": "STANDARD"}


def test_logical_names_that_must_not_change(preview: bool) -> None:
    """Another name is another resource: the cluster, its key, its network would be replaced with all in them."""
    found = cloud(preview)
    for token, name in (
        ("aws:ec2/vpc:Vpc", FLEET),
        ("aws:ec2/subnet:Subnet", f"{FLEET}-private-eu-central-1a"),
        ("aws:eks/cluster:Cluster", FLEET),
        ("aws:kms/key:Key", f"{FLEET}-secrets"),
        ("aws:ec2/securityGroup:SecurityGroup", f"{FLEET}-nodes"),
        ("aws:efs/fileSystem:FileSystem", f"{FLEET}-workspace"),
        ("aws:kms/key:Key", f"{FLEET}-workspace"),
        ("aws:rds/instance:Instance", f"{FLEET}-database"),
        ("aws:kms/key:Key", f"{FLEET}-database"),
        ("random:index/randomPassword:RandomPassword", f"{FLEET}-database-password"),
        ("aws:ecr/repository:Repository", f"{FLEET}-runtime"),
        ("aws:kms/key:Key", f"{FLEET}-images"),
        ("aws:sqs/queue:Queue", f"{FLEET}-jobs"),
    ):
        assert found.one(token, name).name == name


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
