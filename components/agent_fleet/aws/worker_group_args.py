"""What a `WorkerGroup` is given, field by field."""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

import pulumi

Capacity = Literal["on-demand", "spot"]


def group_name(name: str, capacity: Capacity) -> str:
    """What a group is called in AWS. Its hosts are told, so that they can say when they have drained.

    Renaming a group replaces it: all of its hosts drain, and new ones start in another.
    """
    return f"{name}-{capacity}"


class HostArgs(TypedDict):
    """What the hosts of a group are, whatever they run."""

    machine_image: NotRequired[pulumi.Input[str]]
    """The id of a machine image. Left out: the newest Amazon Linux 2023 on the day that a host starts."""
    image_architecture: str
    """`amd64` or `arm64`: the processors that the newest machine image is for. Plain."""
    disk_gibibytes: pulumi.Input[int]
    """Each host's disk."""
    instance_profile_arn: pulumi.Input[str]
    """The profile with the role of the hosts."""
    security_group_id: pulumi.Input[str]
    """The group of the hosts."""


class OnDemandArgs(TypedDict):
    """Hosts that AWS does not take back."""

    user_data: pulumi.Input[str]
    """What cloud-init does when a host starts, in base64. It names the group (`group_name`), and holds no secret."""
    instance_type: pulumi.Input[str]
    """Their type."""
    minimum: int
    """Hosts at the least. Plain: the policies' sums are made with it."""
    maximum: int
    """Hosts at the most. Plain."""
    warm_hosts: NotRequired[int]
    """Stopped hosts that are kept ready; none if left out. Plain."""


class SpotArgs(TypedDict):
    """Hosts at spot prices."""

    user_data: pulumi.Input[str]
    """What cloud-init does when a host starts, in base64. It names the group (`group_name`), and holds no secret."""
    instance_types: Sequence[pulumi.Input[str]]
    """Their types: AWS takes those that it is least likely to want back, at the lowest price among them."""
    minimum: int
    """Hosts at the least. Plain."""
    maximum: int
    """Hosts at the most. Plain."""


class BacklogArgs(TypedDict):
    """The metric that the hosts follow: the fleet's queued and running jobs together."""

    namespace: str
    """Of the metric."""
    name: str
    """Of the metric."""
    dimensions: dict[str, pulumi.Input[str]]
    """By which the fleet's own is found."""
    jobs_per_host: int
    """What each host is to have of them. Plain."""


class WorkerGroupArgs(TypedDict):
    """Which hosts, how many, and what they follow."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets; hosts are spread over their zones."""
    host: HostArgs
    """What each host is."""
    on_demand: NotRequired[OnDemandArgs]
    """Left out: none."""
    spot: NotRequired[SpotArgs]
    """Left out: none."""
    backlog: BacklogArgs
    """What the groups follow."""
    drain_seconds: int
    """How long a host that is to end may finish its jobs. Plain: the hook's time follows it."""
    warm_up_seconds: pulumi.Input[int]
    """How long a host takes from its start until it runs jobs."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""
