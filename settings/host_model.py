"""The settings of hosts on EC2: the machine of `architecture: vm`, and the way in that vm and queue share."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from settings.aws_model import InstanceType
from settings.values import Cidr, HostName, Section, WholeNumber, distinct, text

CertificateArn = Annotated[
    str,
    text(
        r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$",
        "the ARN of a certificate in ACM, such as arn:aws:acm:<region>:<account>:certificate/<id>",
    ),
]
MachineImage = Annotated[
    str, text(r"^ami-[0-9a-f]{8,17}$", "the id of a machine image with Amazon Linux 2023, such as ami-<17 digits>")
]


class Entrance(Section):
    """The way to the API from outside of the VPC."""

    kind: Literal["load_balancer", "public_address"] = "load_balancer"
    """`load_balancer`: TLS ends there and the hosts have private addresses. `public_address`: the one host of vm has an
    address of its own and answers over plain HTTP, API keys included, which is for trying out."""
    certificate_arn: CertificateArn | None = None
    """The certificate of the load balancer, which is in the same region. `load_balancer` needs it."""
    host: HostName | None = None
    """The name that the certificate is for, which you point at the load balancer. It is the stack's output `url`. Left
    out: the load balancer's own name, which no certificate is for."""
    internal: bool = False
    """Whether the load balancer has private addresses only, for a VPN or a peered VPC."""
    client_cidrs: Annotated[tuple[Cidr, ...], AfterValidator(distinct)] = ()
    """Networks that reach the API. At least one. The whole internet, `0.0.0.0/0`, is allowed with a load balancer
    only."""


class Snapshots(Section):
    """Snapshots of the host's data volume."""

    interval_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = 6
    """How often one is made."""
    kept: WholeNumber = Field(default=28, ge=1, le=1_000)
    """How many are kept; the oldest goes first."""


class Host(Section):
    """The EC2 instance that the whole fleet runs on, and its disks. Both are encrypted."""

    instance_type: InstanceType = "m7i.large"
    """The EC2 instance type."""
    machine_image: MachineImage | None = None
    """The machine image. Left out: the newest Amazon Linux 2023 on the day that the instance is made; a newer one
    replaces nothing."""
    root_gibibytes: WholeNumber = Field(default=40, ge=20, le=16_384)
    """The root disk: images and logs. It goes with the instance, which another size replaces."""
    data_gibibytes: WholeNumber = Field(default=50, ge=10, le=16_384)
    """The database's own disk. It stays when the instance is replaced."""
    snapshots: Snapshots = Snapshots()
