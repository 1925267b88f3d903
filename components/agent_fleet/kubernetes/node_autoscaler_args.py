"""What a `NodeAutoscaler` is given, field by field, with its defaults."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from agent_fleet.aws.cluster_args import RunscArgs


class NodePoolArgs(TypedDict):
    """One kind of nodes that Karpenter starts and ends."""

    name: str
    """The pool's name, which follows the fleet's."""
    capacity: str
    """`on-demand` or `spot`."""
    cpu_limit: int
    """CPUs of all its nodes together, above which it starts no more."""
    memory_limit_gibibytes: int
    """Memory of all its nodes together, above which it starts no more."""
    instance_categories: NotRequired[Sequence[str]]
    """The families' letters. Default: c, m."""
    architecture: NotRequired[str]
    """`amd64` (the default) or `arm64`: what the images were built for."""
    weight: NotRequired[int]
    """Pools with a higher weight are tried first, 1 to 100. Default: 50 for spot, 10 for on-demand."""


class NodeAutoscalerArgs(TypedDict):
    """Nodes of one trust that come and go with their pods. Karpenter must be there."""

    fleet: str
    """The fleet's name."""
    cluster_name: pulumi.Input[str]
    """The EKS cluster's name, for the nodes' tags."""
    untrusted: bool
    """Whether the nodes are for strangers' code, labelled and tainted `agent-fleet.io/untrusted=true:NoSchedule`. Nodes
    for one's own programs are another `NodeAutoscaler`, with a role and security groups of their own."""
    instance_profile: pulumi.Input[str]
    """The instance profile of the nodes' role. Karpenter makes none: a private VPC has no endpoint for IAM."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The private subnets that nodes may be in."""
    security_group_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The nodes' security groups."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The key that their volumes are encrypted with. Default: the account's own for EBS."""
    disk_gibibytes: NotRequired[int]
    """Size of a node's root volume, images included. Default 100."""
    pod_pids_limit: NotRequired[int]
    """Processes and threads of one pod on a node for strangers' code: nothing else limits a sandbox's. Default 512."""
    runsc: NotRequired[RunscArgs]
    """gVisor for nodes for strangers' code. Default: they have runc alone."""
    image_alias: NotRequired[str]
    """The nodes' image, `al2023@v<date>`. Default: the one that `versions` names. `latest` would replace nodes
    whenever a new image comes out, and is refused."""
    longest_job_seconds: NotRequired[int]
    """The longest that a job may run. A node that is to go waits so long for its pods. Default 3,600 (H7)."""
    expire_after_hours: NotRequired[int]
    """The age at which a node is replaced, so that it does not run an old kernel for ever. Default 168."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """More tags for instances and volumes."""
    pools: NotRequired[Sequence[NodePoolArgs]]
    """The kinds of nodes. Default: `spot` and, where there is none to be had, `on-demand`; 64 CPUs, 256 GiB each."""
