"""What a `Cluster` is given, field by field."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi


class NodeGroupArgs(TypedDict):
    """One group of nodes: which machines, and between which bounds."""

    instance_types: Sequence[str]
    """EC2 instance types of one architecture. Several for spot, or a single market's shortage stops the group."""
    minimum: pulumi.Input[int]
    """The fewest nodes."""
    maximum: pulumi.Input[int]
    """The most nodes: the bound on what the group can cost."""
    desired: pulumi.Input[int]
    """Nodes at the start; afterwards an autoscaler may move the number, and no `pulumi up` moves it back."""
    disk_gibibytes: pulumi.Input[int]
    """The encrypted root volume, which holds images, logs and writable layers."""
    ami_type: NotRequired[pulumi.Input[str]]
    """EKS's name of the node image; AL2023_x86_64_STANDARD if left out. AL2023_ARM_64_STANDARD for arm64."""


class RunscArgs(TypedDict):
    """gVisor for the nodes of untrusted work, from a place that the nodes reach: nothing is downloaded unchecked.

    Copy a release's two programs, for the nodes' architecture, from https://storage.googleapis.com/gvisor/releases into
    a bucket of your own: without NAT the nodes reach S3 through the VPC's endpoint and nothing else.
    """

    runsc_uri: pulumi.Input[str]
    """`s3://bucket/key` or `https://…` of `runsc`."""
    runsc_sha256: pulumi.Input[str]
    """The SHA-256 of `runsc`, 64 hexadecimal digits. A node whose download differs does not join."""
    shim_uri: pulumi.Input[str]
    """`s3://bucket/key` or `https://…` of `containerd-shim-runsc-v1`."""
    shim_sha256: pulumi.Input[str]
    """The SHA-256 of `containerd-shim-runsc-v1`."""
    bucket_arn: NotRequired[pulumi.Input[str]]
    """The bucket of both, when they are on S3: the untrusted nodes' role may read its objects."""


class ClusterArgs(TypedDict):
    """What the cluster is made of, and who may enter it."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    version: str
    """The Kubernetes version, one that `agent_fleet.versions` knows. Plain: the add-ons' versions follow it."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets in at least two zones, for nodes, pods and the control plane's own interfaces."""
    endpoint_security_group_id: pulumi.Input[str]
    """The security group of the VPC's endpoints: the only way out of nodes for untrusted work, besides S3."""
    s3_prefix_list_id: pulumi.Input[str]
    """The prefix list of S3 in the region, for image layers."""
    administrators: Sequence[str]
    """ARNs of the IAM roles or users that are cluster administrators; whoever deploys is one only if listed. Plain."""
    public_endpoint_cidrs: NotRequired[Sequence[str]]
    """Addresses that reach the API server over the internet; left out, none do. Never 0.0.0.0/0. Plain."""
    api_client_cidrs: NotRequired[Sequence[str]]
    """Private addresses besides the nodes that reach the API server: a VPN, a peered VPC, CI runners. Plain."""
    service_cidr: NotRequired[str]
    """Addresses of Services, /12 to /24, outside of the VPC's; EKS chooses if left out. A change replaces the cluster.
    Plain."""
    log_retention_days: pulumi.Input[int]
    """How long the control plane's logs are kept: a number of days that CloudWatch knows (1, 7, 14, 30, 60, 90…)."""
    deletion_protection: bool
    """Whether AWS and Pulumi refuse to delete the cluster and its key. Plain: Pulumi's `protect` follows it."""
    system_nodes: NodeGroupArgs
    """On-demand nodes for add-ons, platform and the fleet's own programs."""
    untrusted_on_demand: NotRequired[NodeGroupArgs]
    """Tainted on-demand nodes for sandboxes."""
    untrusted_spot: NotRequired[NodeGroupArgs]
    """Tainted spot nodes for sandboxes: up to 90 % cheaper, and taken away on two minutes' notice."""
    pod_pids_limit: pulumi.Input[int]
    """Processes and threads of one pod on an untrusted node (the kubelet's `podPidsLimit`)."""
    runsc: NotRequired[RunscArgs]
    """gVisor for the untrusted nodes, as containerd's runtime handler `runsc`; left out, they have runc alone."""
    karpenter: NotRequired[bool]
    """Whether to declare what Karpenter needs in AWS: roles, access entry, interruption queue and rules. Plain."""
    karpenter_namespace: NotRequired[str]
    """Where Karpenter's controller runs; `kube-system` if left out. Plain."""
    addon_versions: NotRequired[Mapping[str, str]]
    """Add-on versions by add-on name, instead of those in `agent_fleet.versions`. Plain."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""
