"""The settings of a stack, read from one object of its configuration, `agent-fleet:fleet`.

A name carries its unit. A range in a type is the range that the error message and the reference show. What one key
means for another is in `settings.relations`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from settings.agent_image_model import AgentDigests, ImportedAgents
from settings.agent_model import HostAgent
from settings.aws_model import Aws
from settings.budget_model import Budget
from settings.cluster_model import AgentTypes, Cluster, ContainerLimits, Exposure, Platform, Team, Workspace
from settings.doorbell_model import Doorbell
from settings.egress_model import Egress
from settings.host_model import Entrance, Host
from settings.queue_model import Queue
from settings.scope import AWS_ONLY, CLUSTER_ONLY, EC2_HOST_ONLY, EC2_ONLY, HOSTS_ONLY, QUEUE_ONLY, hosts_only, only
from settings.telemetry_model import Telemetry
from settings.values import (
    NOT_A_TRUTH_VALUE,
    ImageByDigest,
    ImageName,
    IpAddress,
    KubernetesName,
    Language,
    Name,
    Number,
    RegistryAddress,
    Section,
    TenantName,
    WholeNumber,
    by_name,
    distinct,
)

CONFIG_NAMESPACE = "agent-fleet"
CONFIG_KEY = "fleet"
_POOL = "fleet.teams.<team>.pools.<agent_type>"
_SANDBOX = "fleet.agent_types.<agent_type>.sandbox"

Architecture = Literal["vm", "queue", "cluster"]
Target = Literal["docker", "ec2", "eks", "existing"]

TARGETS: dict[str, tuple[str, ...]] = {"vm": ("docker", "ec2"), "queue": ("ec2",), "cluster": ("existing", "eks")}
"""The targets that each architecture can have, the default first."""

_ONE_IMAGE = (
    "hosts on EC2 run every job in fleet.images.digests.sandbox, which may be an image of your own with the tools that "
    "jobs need; agent types with images of their own are in `architecture: cluster` too"
)
_AGENT_IMAGES = only("vm/docker", instead={"cluster": f"{_SANDBOX}.image"}, why=_ONE_IMAGE)
_ENTRANCE = {"cluster": "fleet.exposure", "vm/ec2": "fleet.entrance", "queue": "fleet.entrance"}


class Limits(Section):
    """What holds for the fleet as a whole (H7)."""

    max_concurrent_agents: WholeNumber = Field(default=10, ge=1, le=100_000)
    """Jobs that the fleet may run at once, over all workers and all pools."""
    task_timeout_seconds: WholeNumber = Field(default=3_600, ge=1, le=86_400)
    """The longest time limit that a job may ask for."""
    max_attempts: WholeNumber = Field(default=3, ge=1, le=10)
    """How often a job is tried if the infrastructure fails, the first time included."""


class Api(Section):
    """The API: where it listens and what it accepts."""

    bind_address: IpAddress = Field(default="127.0.0.1", json_schema_extra=only("vm/docker", instead=_ENTRANCE))
    """The address of this machine that the API is published on. Any but a loopback address makes it reachable from the
    network over plain HTTP: put a proxy with TLS before it."""
    port: WholeNumber = Field(default=8080, ge=1, le=65_535, json_schema_extra=only("vm/docker", instead=_ENTRANCE))
    """The TCP port on that address."""
    default_timeout_seconds: WholeNumber = Field(default=60, ge=1, le=86_400)
    """A job's time limit if it asks for none."""
    queue_limit: WholeNumber = Field(default=10_000, ge=1, le=1_000_000)
    """Queued jobs of one tenant, above which the API answers 429."""
    result_ttl_seconds: WholeNumber = Field(default=86_400, ge=60, le=31_536_000)
    """How long a result is kept after its job has ended."""
    tombstone_ttl_seconds: WholeNumber = Field(default=604_800, ge=0, le=31_536_000)
    """How long after that the job's id is still answered with 410 (expired) instead of 404 (unknown)."""
    replicas: WholeNumber = Field(default=2, ge=1, le=100, json_schema_extra=CLUSTER_ONLY)
    """Pods of the fleet's API."""


class Workers(Section):
    """The workers: how many, and how they hold the jobs that they run."""

    count: WholeNumber = Field(
        default=1, ge=1, le=8, json_schema_extra=only("vm", instead={"cluster": f"{_POOL}.maximum"})
    )
    """Worker containers."""
    concurrency: WholeNumber = Field(default=4, ge=1, le=100, json_schema_extra=hosts_only(f"{_POOL}.concurrency"))
    """Jobs that one worker runs at once."""
    drain_seconds: WholeNumber = Field(default=60, ge=0, le=86_400, json_schema_extra=HOSTS_ONLY)
    """How long a worker that is replaced or stopped may finish its jobs. What runs longer is stopped and runs again on
    another worker, as long as it has attempts left."""
    lease_seconds: WholeNumber = Field(default=30, ge=3, le=3_600)
    """How long a job belongs to a worker without a renewal. A killed worker's jobs come back after this time."""
    lease_renew_seconds: WholeNumber = Field(default=10, ge=1, le=1_800)
    """How often a worker renews its leases."""


class Sandbox(Section):
    """The sandboxes that jobs run in: what one may use, and how many there are."""

    runtime: Literal["runc", "runsc"] = Field(
        default="runc",
        json_schema_extra=only(
            "vm/docker", instead={"cluster": "fleet.cluster.runtime_class"}, why="hosts on EC2 have runc alone"
        ),
    )
    """The container runtime. `runsc` is gVisor, which Docker must know under that name."""
    memory_mebibytes: WholeNumber = Field(
        default=512,
        ge=64,
        le=1_048_576,
        json_schema_extra=hosts_only(f"{_SANDBOX}.memory_mebibytes"),
    )
    """Memory of one sandbox, its scratch space included. There is no swap."""
    cpus: Number = Field(default=1.0, ge=0.1, le=256, json_schema_extra=hosts_only(f"{_SANDBOX}.cpus"))
    """CPUs of one sandbox."""
    processes: WholeNumber = Field(default=128, ge=16, le=32_768)
    """Processes and threads in one sandbox. In Kubernetes the nodes hold it (`podPidsLimit`): eks sets it, on a cluster
    that exists it is yours to set."""
    scratch_mebibytes: WholeNumber = Field(
        default=256,
        ge=1,
        le=1_048_576,
        json_schema_extra=hosts_only(f"{_SANDBOX}.scratch_mebibytes"),
    )
    """Size of the working directory. It is in memory and counts towards `memory_mebibytes`."""
    warm: WholeNumber = Field(default=4, ge=0, le=1_000, json_schema_extra=hosts_only(f"{_POOL}.warm"))
    """Sandboxes kept started ahead of need, each ready within milliseconds; more while jobs come in crowds."""
    maximum: WholeNumber = Field(default=16, ge=1, le=1_000, json_schema_extra=hosts_only(f"{_POOL}.sandboxes"))
    """Sandboxes at once, the warm ones included. One that waits takes about 22 MB, 55 MB under gVisor."""
    start_timeout_seconds: WholeNumber = Field(default=30, ge=1, le=600)
    """How long a sandbox may take to start before it is given up."""
    cpu_seconds: Annotated[float, Field(ge=0.1, le=604_800), NOT_A_TRUTH_VALUE] | None = None
    """Processor time of a job, all its processes together; a job that uses it up is killed and ends as `failed` with
    `cpu_limit`. Left out: the time limit and `cpus` are the only bounds."""
    languages: Annotated[tuple[Language, ...], AfterValidator(distinct)] = Field(
        default=("python", "bash", "node"), min_length=1
    )
    """The languages that jobs may be in, each at most once."""
    egress: Egress = Field(
        default=Egress(),
        json_schema_extra=only(
            "vm", "queue", why="a pod has no socket of its host, through which a job reaches the proxy"
        ),
    )


class Database(Section):
    """PostgreSQL, which holds the jobs and their results."""

    memory_mebibytes: WholeNumber = Field(default=256, ge=192, le=1_048_576, json_schema_extra=only("vm", "cluster"))
    """The most memory that its container may use."""
    kind: Literal["in_cluster", "rds"] = Field(default="in_cluster", json_schema_extra=CLUSTER_ONLY)
    """`in_cluster`: a StatefulSet in the fleet's namespace. `rds`: AWS's own, on eks, with `fleet.aws.database`."""
    storage_gibibytes: WholeNumber = Field(default=10, ge=1, le=65_536, json_schema_extra=CLUSTER_ONLY)
    """The volume of the database in the cluster. It outlives its StatefulSet, for example when `kind` is changed, and
    goes with the fleet's namespace: `make down` removes it, as on every architecture. docs/operations.md has the
    backup."""
    storage_class: KubernetesName | None = Field(default=None, json_schema_extra=CLUSTER_ONLY)
    """The StorageClass of that volume. Left out: the cluster's default."""


class Build(Section):
    """How images are built from this repository."""

    ca_bundle: str = Field(default="auto", min_length=1)
    """Certificates that downloads during a build are checked against, for networks whose proxy inspects TLS: `auto`
    (this machine's own, if any were added to it or SSL_CERT_FILE names some), `none` (those in the images) or the path
    of a PEM file. They are in no layer."""


class Digests(Section):
    """Images that were built and judged before, for stacks that only promote. Each is `registry/name@sha256:…`."""

    runtime: ImageByDigest
    """API, worker and sandboxd."""
    sandbox: ImageByDigest
    """What jobs run in."""
    postgres: ImageByDigest
    """The database."""
    redis: ImageByDigest | None = None
    """The doorbell, for `fleet.doorbell.kind: redis`."""
    agents: AgentDigests = Field(default=AgentDigests(), json_schema_extra=_AGENT_IMAGES)


class Imported(Section):
    """Images that were put where they run by hand, and are never pulled: names in the nodes of a cluster; on a Docker
    host the images' own ids, `sha256:…`. `make up BUNDLE=…` and `make cluster-images` put them there."""

    runtime: ImageName
    """API and workers."""
    sandbox: ImageName
    """What jobs run in."""
    postgres: ImageName
    """The database."""
    redis: ImageName | None = None
    """The doorbell, for `fleet.doorbell.kind: redis`."""
    agents: ImportedAgents = Field(default=ImportedAgents(), json_schema_extra=_AGENT_IMAGES)


class Images(Section):
    """Where the images come from: built here, taken by digest, or imported into where they run. One of the three."""

    build: Build = Build()
    """Build them."""
    registry: RegistryAddress | None = Field(default=None, json_schema_extra=only("cluster", "vm/ec2", "queue"))
    """The registry that built images are pushed to, and that nodes and hosts pull them from."""
    digests: Digests | None = None
    """Take these. With them nothing is built."""
    imported: Imported | None = Field(
        default=None,
        json_schema_extra=only("vm/docker", "cluster", why="an instance that is new starts without any image"),
    )
    """Use these, as they are in the nodes or in the Docker host."""


class Settings(Section):
    """Everything that a stack sets."""

    architecture: Architecture
    """Where the fleet runs: `vm` is one Docker host, `queue` is hosts for the API and hosts for workers, `cluster` is
    Kubernetes."""
    target: Target = "docker"
    """What that is on: `docker` is this machine's own Docker; `ec2` instances that are made on AWS; `existing` a
    cluster by its kubeconfig; `eks` one that is made on AWS. Left out: `docker`, `ec2` for queue, `existing`
    for cluster."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the fleet's own programs log."""
    limits: Limits = Limits()
    api: Api = Api()
    workers: Workers = Workers()
    sandbox: Sandbox = Sandbox()
    database: Database = Database()
    doorbell: Doorbell = Doorbell()
    telemetry: Telemetry = Telemetry()
    images: Images = Images()
    tenants: Annotated[
        dict[TenantName, Budget], AfterValidator(by_name), Field(json_schema_extra={"x-name": "tenant"})
    ] = Field(default={}, json_schema_extra=hosts_only("fleet.teams.<team>.budget"))
    """Budgets of tenants by their names. A tenant that is not here has none, or that which `tenants set` gives it."""
    agents: Annotated[
        dict[Name, HostAgent], AfterValidator(by_name), Field(json_schema_extra={"x-name": "agent_type"})
    ] = Field(default={}, json_schema_extra=only("vm/docker", instead={"cluster": "fleet.agent_types"}, why=_ONE_IMAGE))
    """The agent types by their names, for jobs of the form `{agent, prompt | command, workspace}`. They are every
    tenant's, and what a tenant keeps in a workspace is its own. Without any, such jobs are refused."""
    teams: Annotated[dict[Name, Team], AfterValidator(by_name), Field(json_schema_extra={"x-name": "team"})] = Field(
        default={}, json_schema_extra=CLUSTER_ONLY
    )
    """The teams by their names. Each is a tenant of the API, with a key and namespaces of its own."""
    agent_types: AgentTypes = Field(
        default={}, validate_default=True, json_schema_extra=only("cluster", instead={"vm/docker": "fleet.agents"})
    )
    """The agent types by their names. `implementation`, `testing`, `security` and `documentation` are there without
    being given, with the documents' figures (H1, H7); what is given changes them or adds to them."""
    cluster: Cluster = Field(default=Cluster(), json_schema_extra=CLUSTER_ONLY)
    workspace: Workspace = Field(default=Workspace(), json_schema_extra=CLUSTER_ONLY)
    exposure: Exposure = Field(default=Exposure(), json_schema_extra=CLUSTER_ONLY)
    container_limits: ContainerLimits = Field(default=ContainerLimits(), json_schema_extra=CLUSTER_ONLY)
    platform: Platform = Field(default=Platform(), json_schema_extra=CLUSTER_ONLY)
    aws: Aws = Field(default=Aws(), json_schema_extra=AWS_ONLY)
    entrance: Entrance = Field(default=Entrance(), json_schema_extra=EC2_ONLY)
    host: Host = Field(default=Host(), json_schema_extra=EC2_HOST_ONLY)
    queue: Queue = Field(default=Queue(), json_schema_extra=QUEUE_ONLY)
