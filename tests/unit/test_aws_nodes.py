"""The nodes on EKS: what holds for all of them, and what keeps untrusted work apart."""

import json

import pytest
from agent_fleet.aws.node_user_data import install_script
from aws_fleet import NODE_GROUP, NODES, TEMPLATE, UNTRUSTED, cloud, user_data
from recording import FLEET


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
