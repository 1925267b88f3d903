"""The components of AWS on the real engine, with the stand-in that keeps state only."""

import json
from typing import Any

import pytest
from stack_program import StackProgram

ADMINISTRATOR = "arn:aws:iam::000000000000:role/platform"
CLOUD = """
import json
import agent_fleet as fleet
import pulumi, pulumi_aws as aws, pulumi_kubernetes as kubernetes

NAME = "agent-fleet-probe"
provider = aws.Provider("there", region="eu-central-1")
there = pulumi.ResourceOptions(provider=provider)
zones = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
network = fleet.Network(NAME, {
    "fleet": NAME, "region": "eu-central-1", "zones": zones, "cidr": %(cidr)r, "nat": "one",
}, opts=there)
nodes = {"instance_types": ["m7i.large"], "minimum": 2, "maximum": 4, "desired": 2, "disk_gibibytes": 100}
cluster = fleet.Cluster(NAME, {
    "fleet": NAME, "version": %(version)r, "vpc_id": network.vpc_id, "subnet_ids": network.private_subnet_ids,
    "endpoint_security_group_id": network.endpoint_security_group_id, "s3_prefix_list_id": network.s3_prefix_list_id,
    "administrators": [%(administrator)r], "log_retention_days": 30, "deletion_protection": %(protected)r,
    "system_nodes": nodes, "untrusted_on_demand": nodes, "untrusted_spot": nodes, "pod_pids_limit": %(pids)r,
    "karpenter": True,
    "runsc": {"runsc_uri": "s3://tools/runsc", "runsc_sha256": "a" * 64, "shim_uri": "s3://tools/shim",
              "shim_sha256": "b" * 64, "bucket_arn": "arn:aws:s3:::tools"},
}, opts=there)
queue = fleet.JobQueue(f"{NAME}-jobs", {
    "fleet": NAME, "visibility_timeout_seconds": 60, "maximum_receives": 5,
}, opts=there)
fleet.PodIdentity(f"{NAME}-worker", {
    "cluster_name": cluster.name, "cluster_arn": cluster.arn, "namespace": "alpha", "service_account": "testing",
    "policy": pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": queue.arn}]}),
}, opts=there)
database = fleet.ManagedDatabase(f"{NAME}-database", {
    "fleet": NAME, "vpc_id": network.vpc_id, "subnet_ids": network.private_subnet_ids,
    "client_security_group_ids": [cluster.node_security_group_id], "engine_version": "17.6",
    "instance_class": "db.m7g.large", "storage_gibibytes": 50, "multi_az": True,
    "deletion_protection": %(protected)r, "backup_retention_days": 7,
}, opts=there)
registry = fleet.Registry(NAME, {
    "fleet": NAME, "repositories": ["runtime", "sandbox"], "deletion_protection": %(protected)r,
    "registry_rules": {"replica_regions": ["eu-west-1"], "pull_through": [{"prefix": "quay", "upstream": "quay.io"}]},
}, opts=there)
for name, value in {
    "endpoint": cluster.endpoint, "kubeconfig": cluster.kubeconfig, "queue": queue.url, "database": database.url,
    "registry": registry.urls, "subnets": network.private_subnet_ids, "karpenter": cluster.karpenter_queue_name,
    "prefix_list": network.s3_prefix_list_id,
}.items():
    pulumi.export(name, value)
"""
IN_THE_CLUSTER = """
inside = pulumi.ResourceOptions(provider=kubernetes.Provider(
    "inside", kubeconfig=cluster.kubeconfig, cluster_identifier=cluster.identifier))
fleet.AddonTraffic(f"{NAME}-addons", {"fleet": NAME}, opts=inside)
fleet.SharedWorkspace(f"{NAME}-workspace", {
    "fleet": NAME, "vpc_id": network.vpc_id, "zones": zones, "subnet_ids": network.private_subnet_ids,
    "client_security_group_id": cluster.node_security_group_id, "storage_class_name": "workspace",
    "uid": 1001, "gid": 1001,
}, opts=pulumi.ResourceOptions(providers=[provider, inside.provider]))
"""


def program(**given: Any) -> str:
    """The program with some of its values changed."""
    return CLOUD % {
        "cidr": "10.64.0.0/16",
        "version": "1.35",
        "administrator": ADMINISTRATOR,
        "protected": False,
        "pids": 1024,
        **given,
    }


def test_a_preview_of_every_component_needs_no_account_and_no_cluster(stack: StackProgram) -> None:
    """Prevents a plan that only who has credentials can see."""
    stack.write(program(protected=True) + IN_THE_CLUSTER)
    outcome = stack.preview().succeeded()
    assert "is not in the stand-in's replacement table" not in outcome.text
    assert outcome.changes["to create"] > 150


@pytest.mark.timeout(600)
def test_the_cloud_components_live_and_die_on_the_engine(stack: StackProgram) -> None:
    """Prevents a second run that changes something, and a small change that replaces much."""
    stack.write(program())
    created = stack.up().succeeded().changes["created"]
    outputs = stack.outputs()
    assert outputs["endpoint"].startswith("https://")
    assert json.loads(outputs["kubeconfig"])["clusters"][0]["cluster"]["server"] == outputs["endpoint"]
    assert outputs["database"].startswith("postgresql://fleet:")
    assert set(outputs["registry"]) == {"runtime", "sandbox"}
    assert len(outputs["subnets"]) == 3
    assert outputs["karpenter"] == "agent-fleet-probe-karpenter"
    assert outputs["prefix_list"].startswith("pl-")
    assert stack.up().succeeded().changes == {"unchanged": created}

    # Another limit makes a new version of both untrusted templates, which both groups roll over to.
    stack.write(program(pids=2048))
    assert stack.preview().succeeded().changes == {"to update": 4, "unchanged": created - 4}

    # A new Kubernetes version is an update of the control plane, of its groups and of two add-ons; another
    # administrator is another entry.
    given: dict[str, Any] = {"pids": 2048, "version": "1.36", "administrator": f"{ADMINISTRATOR}-two"}
    stack.write(program(**given))
    changes = stack.up().succeeded().changes
    assert changes["updated"] >= 1 + 2 + 3 + 2
    assert changes == {"created": 2, "deleted": 2, "updated": changes["updated"], "unchanged": changes["unchanged"]}

    # Another network cannot be had without replacing what is in it.
    stack.write(program(**given, cidr="10.80.0.0/16"))
    assert stack.preview().succeeded().changes["to replace"] > 10

    assert stack.destroy().succeeded().changes == {"deleted": created}
