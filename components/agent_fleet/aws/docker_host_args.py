"""What a `DockerHost` is given, field by field."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from agent_fleet.systemd.fleet_host import HostWorkload


class DockerHostArgs(TypedDict):
    """Where the host is, what it is, and what runs on it."""

    fleet: str
    """The fleet's name, for tags, labels and logs. Plain."""
    region: str
    """The region. Plain."""
    zone: str
    """The availability zone of its disk, which must be its subnet's. Plain: moving there takes a snapshot."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_id: pulumi.Input[str]
    """Its subnet: a private one, or a public one with `public_client_cidrs`."""
    instance_type: str
    """The EC2 instance type. Another one stops and starts the instance. Plain."""
    processors: str
    """`amd64` or `arm64`, those of the type and of the images. Plain."""
    machine_image: NotRequired[str | None]
    """The machine image, of Amazon Linux 2023; left out, the newest when the instance is made. Plain."""
    root_gibibytes: pulumi.Input[int]
    """Its root disk: images and logs. Where the machine image is the newest, another size replaces the instance."""
    data_gibibytes: pulumi.Input[int]
    """Its data disk, which outlives it. It can only grow."""
    snapshot_interval_hours: pulumi.Input[int]
    """How often the data disk is copied: 1, 2, 3, 4, 6, 8, 12 or 24."""
    snapshots_kept: pulumi.Input[int]
    """How many copies are kept."""
    workloads: Sequence[HostWorkload]
    """The programs. Those with a folder of the data disk name it as their volume, below `DATA_FOLDER`."""
    data_folders: Sequence[tuple[str, str]]
    """Folders of the data disk, each with its owner as `uid:gid`. Plain."""
    sandbox_images: Sequence[pulumi.Input[str]]
    """Images that only sandboxes run."""
    public_client_cidrs: Sequence[str]
    """Networks that reach `public_port` at a public address of the host's own, in plain HTTP, which weakens it. Empty:
    it has no public address. Plain: each gets a rule."""
    public_port: int
    """The TCP port for these. Plain."""
    egress_ports: Sequence[int]
    """TCP ports besides 443 that it may reach elsewhere. Plain."""
    log_retention_days: pulumi.Input[int]
    """How long its logs are kept."""
    deletion_protection: bool
    """Whether its data disk, and against anybody but Pulumi the instance too, cannot be deleted. Plain."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""
