"""What a `DockerHost` is given, field by field."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class DockerHostArgs(TypedDict):
    """Where the host is, what it is, and what it is told."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
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
    data_volume_id: pulumi.Input[str]
    """Its data disk, which outlives it: one of its subnet's zone."""
    instance_profile_name: pulumi.Input[str]
    """Its role, known only when that has its rights."""
    user_data: pulumi.Input[str]
    """What cloud-init does at its start, in base64. It holds no secret. Another one replaces the instance."""
    public_client_cidrs: Sequence[str]
    """Networks that reach `public_port` at a public address of the host's own, in plain HTTP, which weakens it. Empty:
    it has no public address. Plain: each gets a rule."""
    public_port: int
    """The TCP port for these. Plain."""
    egress_ports: Sequence[int]
    """TCP ports besides 443 that it may reach elsewhere. Plain."""
    deletion_protection: pulumi.Input[bool]
    """Whether nobody but Pulumi can terminate it."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""
