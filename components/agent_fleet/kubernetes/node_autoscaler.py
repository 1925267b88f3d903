"""Nodes that come and go with their pods: Karpenter's node pools and the class of their machines."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.aws.node_user_data import system_user_data, untrusted_user_data
from agent_fleet.kubernetes.node_autoscaler_args import NodeAutoscalerArgs, NodePoolArgs
from agent_fleet.kubernetes.object_labels import UNTRUSTED_NODE, metadata, object_labels
from agent_fleet.versions import NODE_IMAGE_ALIAS

CAPACITIES = ("on-demand", "spot")
ARCHITECTURES = ("amd64", "arm64")
ROLE = "nodes"
DRAIN_MARGIN_SECONDS = 600
"""Beside the longest job: its worker's own margins, and the time that pods take to end."""
EMPTY_SECONDS = 120
"""How long a node stays once its last pod is gone: shorter than a start, and jobs that come and go start nodes anew."""
OLDEST_GENERATION = 5

_PINNED_IMAGE = re.compile(r"al2023@v\d{8}")


class NodeAutoscaler(pulumi.ComponentResource):
    """Node pools of Karpenter, within limits, that never take a node from under a running job.

    Only empty nodes are consolidated. Age and drift replace a node too: those wait for pods that carry the annotation
    `karpenter.sh/do-not-disrupt: "true"`, for as long as the longest job may run.
    """

    node_class: pulumi.Output[str]
    """The name of the machines' class."""
    node_pools: pulumi.Output[list[str]]
    """The names of the node pools."""

    def __init__(self, name: str, args: NodeAutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare class and pools; see `NodeAutoscalerArgs`. Raises ValueError for what Karpenter would refuse."""
        super().__init__("agent-fleet:index:NodeAutoscaler", name, {}, opts)
        fleet = args["fleet"]
        trust = "untrusted" if args["untrusted"] else "trusted"
        class_name = f"{fleet}-{trust}"
        labels = object_labels(fleet, ROLE)
        pools = args.get("pools") or _default_pools()
        for pool in pools:
            _check_pool(pool)
        node_class = k8s.apiextensions.CustomResource(
            name,
            api_version="karpenter.k8s.aws/v1",
            kind="EC2NodeClass",
            metadata=metadata(class_name, None, labels),
            spec=_node_class_spec(args, class_name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        for pool in pools:
            k8s.apiextensions.CustomResource(
                f"{name}-{pool['name']}",
                api_version="karpenter.sh/v1",
                kind="NodePool",
                metadata=metadata(f"{class_name}-{pool['name']}", None, labels),
                spec=_node_pool_spec(pool, args, class_name),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[node_class]),
            )
        self.node_class = pulumi.Output.from_input(class_name)
        self.node_pools = pulumi.Output.from_input([f"{class_name}-{pool['name']}" for pool in pools])
        self.register_outputs({"node_class": self.node_class, "node_pools": self.node_pools})


def _node_class_spec(args: NodeAutoscalerArgs, class_name: str) -> dict[str, Any]:
    image = args.get("image_alias", NODE_IMAGE_ALIAS)
    if not _PINNED_IMAGE.fullmatch(image):
        raise ValueError(
            f"image_alias is {image!r}; it names one release, al2023@v and a date. A moving one would replace nodes, "
            "and the jobs on them, whenever AWS brings a new image out."
        )
    volume: dict[str, Any] = {
        "volumeSize": f"{args.get('disk_gibibytes', 100)}Gi",
        "volumeType": "gp3",
        "encrypted": True,
        "deleteOnTermination": True,
    }
    if "kms_key_arn" in args:
        volume["kmsKeyID"] = args["kms_key_arn"]
    user_data = (
        untrusted_user_data(args.get("pod_pids_limit", 512), args.get("runsc"))
        if args["untrusted"]
        else system_user_data()
    )
    return {
        "amiFamily": "AL2023",
        "amiSelectorTerms": [{"alias": image}],
        "instanceProfile": args["instance_profile"],
        "subnetSelectorTerms": _by_id(args["subnet_ids"]),
        "securityGroupSelectorTerms": _by_id(args["security_group_ids"]),
        "associatePublicIPAddress": False,
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "rootVolume": True, "ebs": volume}],
        # One hop: what is in a pod's own network cannot reach the metadata service, and so not the node's role.
        "metadataOptions": {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "httpProtocolIPv6": "disabled",
        },
        "userData": user_data.apply(lambda encoded: base64.b64decode(encoded).decode()),
        "tags": {"Name": class_name, "agent-fleet": args["fleet"], **_tags(args)},
    }


def _node_pool_spec(pool: NodePoolArgs, args: NodeAutoscalerArgs, class_name: str) -> dict[str, Any]:
    drain_seconds = args.get("longest_job_seconds", 3600) + DRAIN_MARGIN_SECONDS
    template: dict[str, Any] = {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": class_name},
        "expireAfter": f"{args.get('expire_after_hours', 168)}h",
        "terminationGracePeriod": f"{drain_seconds}s",
        "requirements": [
            _requirement("karpenter.sh/capacity-type", "In", pool["capacity"]),
            _requirement("kubernetes.io/arch", "In", pool.get("architecture", "amd64")),
            _requirement("kubernetes.io/os", "In", "linux"),
            _requirement("karpenter.k8s.aws/instance-category", "In", *(pool.get("instance_categories") or ("c", "m"))),
            _requirement("karpenter.k8s.aws/instance-generation", "Gte", str(OLDEST_GENERATION)),
            _requirement("karpenter.k8s.aws/instance-hypervisor", "In", "nitro"),
        ],
    }
    labels: dict[str, Any] = {}
    if args["untrusted"]:
        labels = {UNTRUSTED_NODE: "true"}
        template["taints"] = [{"key": UNTRUSTED_NODE, "value": "true", "effect": "NoSchedule"}]
    return {
        "template": {"metadata": {"labels": labels}, "spec": template} if labels else {"spec": template},
        "weight": pool.get("weight", 50 if pool["capacity"] == "spot" else 10),
        "limits": {"cpu": str(pool["cpu_limit"]), "memory": f"{pool['memory_limit_gibibytes']}Gi"},
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": f"{EMPTY_SECONDS}s",
            "budgets": [
                {"nodes": "20%", "reasons": ["Empty"]},
                {"nodes": "1", "reasons": ["Drifted"]},
            ],
        },
    }


def _default_pools() -> list[NodePoolArgs]:
    return [
        NodePoolArgs(name=capacity, capacity=capacity, cpu_limit=64, memory_limit_gibibytes=256)
        for capacity in CAPACITIES
    ]


def _check_pool(pool: NodePoolArgs) -> None:
    name = pool["name"]
    if pool["capacity"] not in CAPACITIES:
        raise ValueError(
            f"pools: the capacity of {name!r} is {pool['capacity']!r}; it is one of: {', '.join(CAPACITIES)}."
        )
    if pool.get("architecture", "amd64") not in ARCHITECTURES:
        raise ValueError(
            f"pools: the architecture of {name!r} is {pool.get('architecture')!r}; it is one of: "
            f"{', '.join(ARCHITECTURES)}."
        )
    for field, value, highest in (
        ("cpu_limit", pool["cpu_limit"], None),
        ("memory_limit_gibibytes", pool["memory_limit_gibibytes"], None),
        ("weight", pool.get("weight", 1), 100),
    ):
        if value < 1 or (highest is not None and value > highest):
            allowed = "at least 1" if highest is None else f"from 1 to {highest}"
            raise ValueError(f"pools: {field} of {name!r} is {value}; it is {allowed}.")


def _requirement(key: str, operator: str, *values: str) -> Mapping[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def _by_id(ids: pulumi.Input[Sequence[pulumi.Input[str]]]) -> pulumi.Output[Any]:
    def terms(known: Sequence[Any]) -> list[dict[str, Any]]:
        return [{"id": each} for each in known]

    return pulumi.Output.from_input(ids).apply(terms)


def _tags(args: NodeAutoscalerArgs) -> Mapping[str, pulumi.Input[str]]:
    return args.get("tags") or {}
