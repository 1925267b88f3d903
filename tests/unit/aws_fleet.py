"""Every component of AWS, declared once for each mode as the cluster architecture would."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import agent_fleet as fleet
import pulumi
import pulumi_kubernetes as kubernetes
from aws_values import REGION
from recording import FLEET, UNKNOWN, Declared, Recording, record

ADMINISTRATOR = "arn:aws:iam::000000000000:role/platform"
CLUSTER = "aws:eks/cluster:Cluster"
ADDON = "aws:eks/addon:Addon"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
UNTRUSTED = (f"{FLEET}-untrusted", f"{FLEET}-untrusted-spot")
ZONES = tuple(f"{REGION}{letter}" for letter in "abc")
NODES: fleet.NodeGroupArgs = {
    "instance_types": ["m7i.large"],
    "minimum": 2,
    "maximum": 4,
    "desired": 2,
    "disk_gibibytes": 100,
}
RUNSC: fleet.RunscArgs = {
    "runsc_uri": "s3://tools/runsc",
    "runsc_sha256": "a" * 64,
    "shim_uri": "s3://tools/containerd-shim-runsc-v1",
    "shim_sha256": "b" * 64,
    "bucket_arn": "arn:aws:s3:::tools",
}
WORKER_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": f"arn:aws:sqs:{REGION}:000000000000:jobs"}
        ],
    }
)


def network_args(**given: Any) -> fleet.NetworkArgs:
    """A network of three zones, with what a test changes."""
    args: fleet.NetworkArgs = {
        "fleet": FLEET,
        "region": REGION,
        "zones": ZONES,
        "cidr": "10.64.0.0/16",
        "nat": "none",
    }
    return {**args, **given}  # pyright: ignore[reportReturnType] - a test gives the fields by name


def cluster_args(network: fleet.Network, **given: Any) -> fleet.ClusterArgs:
    """A cluster with all that it can have, with what a test changes."""
    args: fleet.ClusterArgs = {
        "fleet": FLEET,
        "version": "1.36",
        "vpc_id": network.vpc_id,
        "subnet_ids": network.private_subnet_ids,
        "endpoint_security_group_id": network.endpoint_security_group_id,
        "s3_prefix_list_id": network.s3_prefix_list_id,
        "administrators": [ADMINISTRATOR],
        "log_retention_days": 30,
        "deletion_protection": True,
        "system_nodes": NODES,
        "untrusted_on_demand": NODES,
        "untrusted_spot": NODES,
        "pod_pids_limit": 1024,
        "runsc": RUNSC,
        "karpenter": True,
    }
    return {**args, **given}  # pyright: ignore[reportReturnType] - a test gives the fields by name


def declare(*, protected: bool = True, nat: str = "none", **given: Any) -> pulumi.Output[Mapping[str, Any]]:
    """Everything; `given` are arguments of the cluster. Returns the components' outputs."""
    network = fleet.Network(FLEET, network_args(nat=nat))
    cluster = fleet.Cluster(FLEET, cluster_args(network, deletion_protection=protected, **given))
    inside = kubernetes.Provider("inside", kubeconfig=cluster.kubeconfig, cluster_identifier=cluster.identifier)
    traffic = fleet.AddonTraffic(f"{FLEET}-addons", {"fleet": FLEET}, pulumi.ResourceOptions(provider=inside))
    workspace = fleet.SharedWorkspace(
        f"{FLEET}-workspace",
        {
            "fleet": FLEET,
            "vpc_id": network.vpc_id,
            "zones": ZONES,
            "subnet_ids": network.private_subnet_ids,
            "client_security_group_id": cluster.node_security_group_id,
            "storage_class_name": "workspace",
            "uid": 1001,
            "gid": 1001,
            "deletion_protection": protected,
        },
        pulumi.ResourceOptions(providers=[inside]),
    )
    queue = fleet.JobQueue(f"{FLEET}-jobs", {"fleet": FLEET, "visibility_timeout_seconds": 60, "maximum_receives": 5})
    database = fleet.ManagedDatabase(
        f"{FLEET}-database",
        {
            "fleet": FLEET,
            "vpc_id": network.vpc_id,
            "subnet_ids": network.private_subnet_ids,
            "client_security_group_ids": [cluster.node_security_group_id],
            "engine_version": "17.6",
            "instance_class": "db.m7g.large",
            "storage_gibibytes": 50,
            "multi_az": True,
            "deletion_protection": protected,
            "backup_retention_days": 7,
        },
    )
    registry = fleet.Registry(
        FLEET,
        {
            "fleet": FLEET,
            "repositories": ["runtime", "sandbox"],
            "deletion_protection": protected,
            "registry_rules": {"replica_regions": ["eu-west-1"], "pull_through": [{"prefix": "q", "upstream": "q.io"}]},
        },
    )
    identity = fleet.PodIdentity(
        f"{FLEET}-worker",
        {
            "cluster_name": cluster.name,
            "cluster_arn": cluster.arn,
            "namespace": "alpha",
            "service_account": "testing",
            "policy": WORKER_POLICY,
        },
    )
    outputs: dict[str, pulumi.Output[Any]] = {
        f"{type(component).__name__}.{name}": value
        for component in (network, cluster, traffic, workspace, queue, database, registry, identity)
        for name, value in vars(component).items()
        if not name.startswith("_") and isinstance(value, pulumi.Output)
    }
    return pulumi.Output.all(**outputs)


@cache
def cloud(preview: bool, **given: Any) -> Recording:
    """The declared cloud, once for each mode and choice; `given` as for `declare`."""
    return record(lambda: declare(**given), preview=preview)


def policy_documents(recording: Recording) -> Iterator[tuple[Declared, str, Mapping[str, Any]]]:
    """Every IAM document that is known: its resource, the input that it stands in, and the document."""
    for each in recording.resources:
        for field in ("policy", "assumeRolePolicy"):
            text = each.inputs.get(field)
            if isinstance(text, str) and '"Statement"' in text:
                yield each, field, json.loads(text)


def statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A document's statements, with actions and resources as lists."""
    return [
        {**each, "Action": _listed(each.get("Action")), "Resource": _listed(each.get("Resource"))}
        for each in document["Statement"]
    ]


def user_data(template: Declared) -> str:
    """A launch template's user data as text."""
    return base64.b64decode(template.inputs["userData"]).decode()


def known(value: Any) -> bool:
    """Whether a value is known in this mode."""
    return value is not UNKNOWN


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


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]  # pyright: ignore[reportUnknownVariableType]
