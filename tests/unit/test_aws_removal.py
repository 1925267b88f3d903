"""The order in which the cluster on EKS goes, and what of it does not go by mistake."""

import pytest
from aws_fleet import NODE_GROUP, addons, cloud, cluster, needs, urns
from recording import FLEET


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
