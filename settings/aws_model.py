"""The settings of what an EKS cluster is made of: network, nodes, managed database."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from settings.scope import EKS_ONLY, only
from settings.values import Cidr, Section, Sha256, WholeNumber, distinct, text

Region = Annotated[str, text(r"^[a-z]{2}(-[a-z]+)+-[1-9]$", "an AWS region, such as eu-west-1")]
Zone = Annotated[str, text(r"^[a-z]{2}(-[a-z]+)+-[1-9][a-z]$", "an availability zone, such as eu-west-1a")]
PrincipalArn = Annotated[
    str,
    text(
        r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$",
        "the ARN of an IAM role or user, such as arn:aws:iam::<account>:role/<name>",
    ),
]
BucketName = Annotated[
    str,
    text(r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", "an S3 bucket's name: lower-case letters, digits and hyphens, 3 to 63"),
]
BucketArn = Annotated[
    str, text(r"^arn:aws[a-z-]*:s3:::[a-z0-9.-]{3,63}$", "the ARN of a bucket, such as arn:aws:s3:::<name>")
]
ProgramUri = Annotated[
    str, text(r"^(s3|https)://[A-Za-z0-9.-]+/[A-Za-z0-9._/-]+$", "s3://<bucket>/<key> or https://<host>/<path>")
]
InstanceType = Annotated[str, text(r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$", "an EC2 instance type, such as m7i.large")]
DatabaseClass = Annotated[str, text(r"^db\.[a-z0-9]+\.[a-z0-9]+$", "an RDS instance class, such as db.m7g.large")]
PostgresVersion = Annotated[
    str, text(r"^1[5-9](\.[0-9]+)?$", 'a version of PostgreSQL from 15 on, in quotes, such as "17"')
]
InstanceTypes = Annotated[tuple[InstanceType, ...], AfterValidator(distinct)]


_MANAGED = only("cluster/eks", "queue")


class NodeGroup(Section):
    """A group of nodes."""

    instance_types: InstanceTypes = Field(min_length=1)
    """EC2 instance types, the first preferred."""
    minimum: WholeNumber = Field(ge=0, le=1_000)
    """Nodes at the least."""
    desired: WholeNumber = Field(ge=0, le=1_000)
    """Nodes at the start."""
    maximum: WholeNumber = Field(ge=1, le=1_000)
    """Nodes at the most."""
    disk_gibibytes: WholeNumber = Field(default=50, ge=20, le=16_384)
    """The root disk of each, encrypted."""


class Gvisor(Section):
    """The two programs of a gVisor release, copied to a bucket of yours: nodes without a way out reach nothing else."""

    runsc_uri: ProgramUri
    """Of `runsc`."""
    runsc_sha256: Sha256
    """Its SHA-256. A node whose download differs does not join."""
    shim_uri: ProgramUri
    """Of `containerd-shim-runsc-v1`."""
    shim_sha256: Sha256
    """Its SHA-256."""
    bucket_arn: BucketArn | None = None
    """The bucket of both, when they are on S3: the nodes may read it."""


class ManagedDatabase(Section):
    """PostgreSQL on RDS, for `fleet.database.kind: rds`."""

    engine_version: PostgresVersion = "17"
    """PostgreSQL's version, in quotes."""
    instance_class: DatabaseClass = "db.m7g.large"
    """The RDS instance class."""
    storage_gibibytes: WholeNumber = Field(default=100, ge=20, le=65_536)
    """Its disk."""
    multi_zone: bool = True
    """Whether a standby in another zone takes over when the first fails."""
    backup_retention_days: WholeNumber = Field(default=14, ge=1, le=35)
    """How long automatic backups are kept."""


class JobQueue(Section):
    """The SQS queues of `fleet.doorbell.kind: sqs`, one for each pool with a dead-letter queue each. Workers delete a
    message when they receive it: the job itself is in the database. Their addresses are the stack's output
    `queue_url`, where `{template}` stands for `<team>-<agent type>`."""

    visibility_timeout_seconds: WholeNumber = Field(default=3_900, ge=30, le=43_200)
    """How long a message is hidden once it was received and not deleted. It must cover the longest job."""
    maximum_receives: WholeNumber = Field(default=3, ge=1, le=1_000)
    """After how many receipts a message goes to the dead-letter queue (H7: three tries)."""


class Aws(Section):
    """The AWS account's part: network, nodes, access."""

    region: Region = "eu-west-1"
    """The region."""
    zones: Annotated[tuple[Zone, ...], AfterValidator(distinct)] = Field(
        default=("eu-west-1a", "eu-west-1b", "eu-west-1c"), min_length=2, max_length=6
    )
    """Availability zones of that region. EKS needs two; a database that survives a zone, too. A third is added, or
    taken away, at the list's end. From four zones on addresses are divided otherwise, and another order is another
    division too: both replace subnets that hosts and databases are in, and AWS refuses that."""
    cidr: Cidr = "10.20.0.0/16"
    """Addresses of the VPC. Each pod has one."""
    service_cidr: Cidr = Field(default="172.20.0.0/16", json_schema_extra=EKS_ONLY)
    """Addresses of Kubernetes Services. They must not be among the VPC's."""
    nat: Literal["none", "one", "per_zone"] = "one"
    """Ways out to the internet. `none`: only AWS's own services, through endpoints; charts and images must come from
    registries in the account then. `per_zone` survives the loss of a zone."""
    administrators: Annotated[tuple[PrincipalArn, ...], AfterValidator(distinct)] = Field(
        default=(), json_schema_extra=EKS_ONLY
    )
    """ARNs of the IAM roles or users that administer the cluster. At least one: who makes it gets no access by
    that."""
    api_client_cidrs: Annotated[tuple[Cidr, ...], AfterValidator(distinct)] = Field(
        default=(), json_schema_extra=EKS_ONLY
    )
    """Private networks besides the VPC that reach the Kubernetes API: a VPN, a peered VPC, CI runners. They must not
    overlap with the VPC's."""
    public_endpoint_cidrs: Annotated[tuple[Cidr, ...], AfterValidator(distinct)] = Field(
        default=(), json_schema_extra=EKS_ONLY
    )
    """Networks that may reach the Kubernetes API over the internet. None: it can be reached from the VPC only."""
    state_bucket: BucketName | None = None
    """The S3 bucket that keeps the stack's state, in `fleet.aws.region`; its secrets are under the key
    `alias/<bucket>`. `make state-bootstrap` makes both and writes this. Without it the state is beside the project."""
    deletion_protection: bool = True
    """Whether cluster and database refuse to be deleted. Off only for throw-away stacks."""
    log_retention_days: Literal[7, 14, 30, 60, 90, 180, 365] = 90
    """How long the cluster's five logs are kept."""
    system_nodes: NodeGroup = Field(
        default=NodeGroup(instance_types=("m7i.large",), minimum=2, desired=2, maximum=6, disk_gibibytes=50),
        json_schema_extra=EKS_ONLY,
    )
    """Nodes of the fleet's own programs."""
    untrusted_on_demand: NodeGroup | None = Field(
        default=NodeGroup(instance_types=("m7i.xlarge",), minimum=1, desired=2, maximum=10, disk_gibibytes=100),
        json_schema_extra=EKS_ONLY,
    )
    """Tainted nodes for sandboxes, with gVisor (D7: 2 to 3). `null`: none."""
    untrusted_spot: NodeGroup | None = Field(
        default=NodeGroup(
            instance_types=("m7i.xlarge", "m6i.xlarge", "m6a.xlarge"),
            minimum=0,
            desired=0,
            maximum=50,
            disk_gibibytes=100,
        ),
        json_schema_extra=EKS_ONLY,
    )
    """The same at spot prices (D7: 0 to 50). `null`: none."""
    gvisor: Gvisor | None = Field(default=None, json_schema_extra=EKS_ONLY)
    """gVisor on the nodes for untrusted work. Left out: they run sandboxes under runc."""
    database: ManagedDatabase = Field(default=ManagedDatabase(), json_schema_extra=_MANAGED)
    job_queue: JobQueue | None = Field(default=None, json_schema_extra=_MANAGED)
    """What the queues of `fleet.doorbell.kind: sqs` are like. Left out: as the defaults have it. With another doorbell
    there is none."""
