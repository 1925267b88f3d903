"""Workspace, queue, database and registry in AWS: their posture and how they hang together."""

import json
from collections.abc import Mapping
from typing import Any

import agent_fleet as fleet
import pulumi
import pytest
from agent_fleet.aws.pod_identity import short_name
from agent_fleet.aws.registry import lifecycle_policy
from aws_fleet import ZONES, cloud
from recording import FLEET, UNKNOWN, record

QUEUE = "aws:sqs/queue:Queue"
UNTAGGABLE = (
    "aws:ec2/route",
    "aws:ec2/vpcEndpointRoute",
    "aws:ecr/lifecyclePolicy",
    "aws:ecr/pullThroughCacheRule",
    "aws:ecr/registryScanningConfiguration",
    "aws:ecr/replicationConfiguration",
    "aws:efs/backupPolicy",
    "aws:efs/fileSystemPolicy",
    "aws:efs/mountTarget",
    "aws:eks/accessPolicyAssociation",
    "aws:iam/rolePolicy",
    "aws:kms/alias",
    "aws:kms/keyPolicy",
    "aws:sqs/queuePolicy",
    "aws:sqs/redriveAllowPolicy",
    "aws:cloudwatch/eventTarget",
)


def test_every_resource_carries_the_tags_by_which_it_is_found(preview: bool) -> None:
    """What has no tag is on no bill and survives a clean-up."""
    found = [each for each in cloud(preview, nat="per_zone").resources if each.type.startswith("aws:")]
    tagged = [
        each for each in found if not each.type.startswith(UNTAGGABLE) or each.type == "aws:ec2/routeTable:RouteTable"
    ]
    assert len(tagged) > 80
    for each in tagged:
        tags: Mapping[str, Any] = each.inputs.get("tags", {})
        assert {"project", "stack", "component", "owner"} <= set(tags), f"{each.type} {each.name}"
        assert tags["project"] == "agent-fleet"


def test_no_resource_is_without_a_component(preview: bool) -> None:
    """A resource beside its component is not destroyed, found or moved with it."""
    for each in cloud(preview).resources:
        outside = each.type.startswith(("agent-fleet:", "pulumi:providers:"))
        assert outside == ("::pulumi:pulumi:Stack::" in each.parent), each.name


class TestTheWorkspace:
    """EFS."""

    def test_is_encrypted_with_a_key_of_ours_and_backed_up(self, preview: bool) -> None:
        """A lost disk would be readable, and a lost file lost (A42, A184)."""
        found = cloud(preview)
        files = found.one("aws:efs/fileSystem:FileSystem", f"{FLEET}-workspace")
        assert files.inputs["encrypted"] is True
        assert any("aws:kms/key:Key" in urn for urn in files.dependency_urns)
        (backup,) = found.of_type("aws:efs/backupPolicy:BackupPolicy")
        assert backup.inputs["backupPolicy"] == {"status": "ENABLED"}

    def test_is_mounted_in_every_zone(self, preview: bool) -> None:
        """Pods of a zone without a target could not start."""
        targets = cloud(preview).of_type("aws:efs/mountTarget:MountTarget")
        assert {each.name for each in targets} == {f"{FLEET}-workspace-{zone}" for zone in ZONES}
        assert preview or len({each.inputs["subnetId"] for each in targets}) == len(ZONES)

    def test_lets_in_the_fleets_own_nodes_alone(self, preview: bool) -> None:
        """Untrusted nodes would reach every team's files."""
        (rule,) = [
            each
            for each in cloud(preview).of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
            if each.inputs.get("fromPort") == 2049
        ]
        assert f"{FLEET}-nodes" in rule.dependencies
        assert f"{FLEET}-untrusted-nodes" not in rule.dependencies

    def test_gives_each_claim_a_directory_of_the_images_user_over_tls(self, preview: bool) -> None:
        """Teams would share a directory, or nobody could write into it (H6)."""
        (given,) = cloud(preview).of_type("kubernetes:storage.k8s.io/v1:StorageClass")
        assert given.inputs["provisioner"] == "efs.csi.aws.com"
        assert given.inputs["reclaimPolicy"] == "Retain"
        assert given.inputs["mountOptions"] == ["tls"]
        parameters = given.inputs["parameters"]
        assert parameters["provisioningMode"] == "efs-ap"
        assert (parameters["uid"], parameters["gid"], parameters["directoryPerms"]) == ("1001", "1001", "0770")
        assert "${.PVC.namespace}" in parameters["subPathPattern"]


class TestTheQueue:
    """SQS."""

    def test_and_its_dead_letters_are_encrypted(self, preview: bool) -> None:
        """Rings would lie readable (A27)."""
        queues = cloud(preview).of_type(QUEUE)
        assert len(queues) == 3
        assert all(each.inputs["sqsManagedSseEnabled"] is True for each in queues)

    def test_passes_on_what_nobody_could_handle(self, preview: bool) -> None:
        """One bad ring would wake workers for ever."""
        found = cloud(preview)
        queue = found.one(QUEUE, f"{FLEET}-jobs")
        assert found.one(QUEUE, f"{FLEET}-jobs-dead-letters").urn in queue.dependency_urns
        (allowed,) = found.of_type("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")
        assert queue.urn in allowed.dependency_urns
        if not preview:
            assert json.loads(queue.inputs["redrivePolicy"])["maxReceiveCount"] == 5
            rule = json.loads(allowed.inputs["redriveAllowPolicy"])
            assert rule == {"redrivePermission": "byQueue", "sourceQueueArns": [found.result["JobQueue.arn"]]}

    def test_keeps_dead_letters_longer_than_rings(self, preview: bool) -> None:
        """A letter's age counts from the first ring: it would be gone before anybody looks."""
        found = cloud(preview)
        ring = found.one(QUEUE, f"{FLEET}-jobs").inputs["messageRetentionSeconds"]
        assert found.one(QUEUE, f"{FLEET}-jobs-dead-letters").inputs["messageRetentionSeconds"] > ring

    def test_is_asked_by_long_polls(self, preview: bool) -> None:
        """Idle workers would be billed by the second."""
        assert cloud(preview).one(QUEUE, f"{FLEET}-jobs").inputs["receiveWaitTimeSeconds"] == 20


class TestTheDatabase:
    """RDS."""

    def test_is_encrypted_private_and_backed_up(self, preview: bool) -> None:
        """Jobs and results would be readable, reachable or lost."""
        inputs = cloud(preview).one("aws:rds/instance:Instance", f"{FLEET}-database").inputs
        assert inputs["storageEncrypted"] is True
        assert inputs["publiclyAccessible"] is False
        assert inputs["backupRetentionPeriod"] == 7
        assert inputs["deletionProtection"] is True
        assert inputs["skipFinalSnapshot"] is False
        assert inputs["copyTagsToSnapshot"] is True
        assert inputs["performanceInsightsEnabled"] is True
        assert inputs["enabledCloudwatchLogsExports"] == ["postgresql", "upgrade"]
        assert inputs["maxAllocatedStorage"] > inputs["allocatedStorage"]

    def test_leaves_a_snapshot_unless_it_was_thrown_away(self, preview: bool) -> None:
        """The last state would be gone, or a throw-away stack leaves snapshots behind."""
        kept = cloud(preview).one("aws:rds/instance:Instance", f"{FLEET}-database").inputs
        if not preview:
            assert kept["finalSnapshotIdentifier"].startswith(f"{FLEET}-database-final-")
        thrown = cloud(preview, protected=False).one("aws:rds/instance:Instance", f"{FLEET}-database").inputs
        assert thrown["skipFinalSnapshot"] is True
        assert "finalSnapshotIdentifier" not in thrown

    def test_insists_on_tls(self, preview: bool) -> None:
        """Passwords and results would be readable on the way."""
        found = cloud(preview)
        (group,) = found.of_type("aws:rds/parameterGroup:ParameterGroup")
        assert group.inputs["family"] == "postgres17"
        assert {each["name"]: each["value"] for each in group.inputs["parameters"]}["rds.force_ssl"] == "1"
        if not preview:
            assert found.result["ManagedDatabase.url"].endswith(":5432/fleet?sslmode=require")

    def test_lets_in_its_clients_alone(self, preview: bool) -> None:
        """A sandbox that broke out would reach it."""
        (rule,) = [
            each
            for each in cloud(preview).of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
            if each.inputs.get("fromPort") == 5432
        ]
        assert f"{FLEET}-nodes" in rule.dependencies
        assert f"{FLEET}-untrusted-nodes" not in rule.dependencies

    def test_has_a_password_that_nobody_sees(self, preview: bool) -> None:
        """A preview or the state would show it."""
        found = cloud(preview)
        assert "password" in found.one("aws:rds/instance:Instance", f"{FLEET}-database").secret_inputs
        assert found.result_is_secret is True

    def test_keeps_its_logs_for_a_bounded_time(self, preview: bool) -> None:
        """RDS would make the groups itself and keep everything for ever (A66)."""
        groups = cloud(preview).of_type("aws:cloudwatch/logGroup:LogGroup")
        own = {each.inputs["name"] for each in groups if "/rds/" in each.inputs["name"]}
        assert own == {f"/aws/rds/instance/{FLEET}-database/{kind}" for kind in ("postgresql", "upgrade")}
        assert all(each.inputs["retentionInDays"] > 0 for each in groups)


class TestTheRegistry:
    """ECR."""

    def test_keeps_release_tags_as_they_were(self, preview: bool) -> None:
        """A tag that moves deploys what nobody judged (A51)."""
        repositories = cloud(preview).of_type("aws:ecr/repository:Repository")
        assert {each.inputs["name"] for each in repositories} == {f"{FLEET}/runtime", f"{FLEET}/sandbox"}
        for each in repositories:
            assert each.inputs["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
            moving = {item["filter"] for item in each.inputs["imageTagMutabilityExclusionFilters"]}
            assert not any(tag.startswith(("v", "*", "release")) for tag in moving)
            (encryption,) = each.inputs["encryptionConfigurations"]
            assert encryption["encryptionType"] == "KMS"

    def test_is_emptied_by_a_removal_only_when_thrown_away(self, preview: bool) -> None:
        """One wrong command would take every release's image."""
        kept = cloud(preview).of_type("aws:ecr/repository:Repository")
        thrown = cloud(preview, protected=False).of_type("aws:ecr/repository:Repository")
        assert {each.inputs["forceDelete"] for each in kept} == {False}
        assert {each.inputs["forceDelete"] for each in thrown} == {True}

    def test_has_a_lifecycle_for_every_repository(self, preview: bool) -> None:
        """Every build ever made would be paid for."""
        found = cloud(preview)
        for each in found.of_type("aws:ecr/repository:Repository"):
            policy = found.one("aws:ecr/lifecyclePolicy:LifecyclePolicy", each.name)
            assert each.urn in policy.dependency_urns
            rules = json.loads(policy.inputs["policy"])["rules"]
            assert [rule["rulePriority"] for rule in rules] == [1, 2]
            # AWS wants the rule for any tag last.
            assert rules[-1]["selection"]["tagStatus"] == "any"

    def test_keeps_as_many_images_as_asked_for(self) -> None:
        """A roll-back would find its image gone."""
        assert json.loads(lifecycle_policy(7))["rules"][1]["selection"]["countNumber"] == 7

    def test_scans_copies_and_caches_as_asked_for(self, preview: bool) -> None:
        """A known hole would be deployed, and a second region pull from the first (A163, D9)."""
        found = cloud(preview)
        (scanning,) = found.of_type("aws:ecr/registryScanningConfiguration:RegistryScanningConfiguration")
        (rule,) = scanning.inputs["rules"]
        assert rule["scanFrequency"] == "SCAN_ON_PUSH"
        (replication,) = found.of_type("aws:ecr/replicationConfiguration:ReplicationConfiguration")
        (copied,) = replication.inputs["replicationConfiguration"]["rules"]
        assert copied["repositoryFilters"] == [{"filter": f"{FLEET}/", "filterType": "PREFIX_MATCH"}]
        assert len(found.of_type("aws:ecr/pullThroughCacheRule:PullThroughCacheRule")) == 1

    def test_leaves_the_account_as_it_is_unless_asked(self, preview: bool) -> None:
        """Two stacks of one account would take each other's rules away."""
        found = record(
            lambda: fleet.Registry(FLEET, {"fleet": FLEET, "repositories": ["runtime"]}).urls, preview=preview
        )
        kinds = {each.type.split(":")[1] for each in found.resources if each.type.startswith("aws:ecr")}
        assert kinds == {"ecr/repository", "ecr/lifecyclePolicy"}
        expected = {"runtime": f"000000000000.dkr.ecr.eu-central-1.amazonaws.com/{FLEET}/runtime"}
        assert found.result is UNKNOWN if preview else found.result == expected


def test_a_pod_identity_is_for_a_service_account_of_its_own(preview: bool) -> None:
    """Every pod of the namespace would have it."""

    def program() -> pulumi.Output[str]:
        return fleet.PodIdentity(
            "identity",
            {
                "cluster_name": "c",
                "cluster_arn": "arn:aws:eks:eu-central-1:000000000000:cluster/c",
                "namespace": "n",
                "service_account": "default",
                "policy": "{}",
            },
        ).role_arn

    with pytest.raises(ValueError, match="service_account: 'default' was given"):
        record(program, preview=preview)


@pytest.mark.parametrize("length", [10, 56, 57, 64, 100])
def test_a_role_of_a_long_team_and_agent_type_has_a_name_that_iam_takes(length: int) -> None:
    """A team with a long name could not be deployed, and two such would share a role."""
    one, other = "a" * (length - 1) + "b", "a" * (length - 1) + "c"
    names = {short_name(one), short_name(other)}
    if length <= 56:
        assert names == {None}
    else:
        assert len(names) == 2
        assert all(name is not None and len(name) <= 64 for name in names)


def test_a_named_minor_version_of_the_database_stays(preview: bool) -> None:
    """AWS would move it on, and every later `pulumi up` fail to move it back."""
    named = cloud(preview).one("aws:rds/instance:Instance", f"{FLEET}-database").inputs
    assert named["engineVersion"] == "17.6"
    assert named["autoMinorVersionUpgrade"] is False
    assert named["allowMajorVersionUpgrade"] is False
