"""The settings of a stack, read from one object of its configuration, `agent-fleet:fleet`.

A name carries its unit. A range in a type is the range that the error message and the reference show. What one key
means for another is in `settings.relations`.
"""

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

CONFIG_NAMESPACE = "agent-fleet"
CONFIG_KEY = "fleet"


def _no_truth_value(value: Any) -> Any:
    # pydantic would read `port: true` as 1.
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")
    return value


def _ip_address(value: str) -> str:
    return str(ipaddress.ip_address(value))


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("each at most once")
    return values


WholeNumber = Annotated[int, BeforeValidator(_no_truth_value)]
Number = Annotated[float, BeforeValidator(_no_truth_value)]
IpAddress = Annotated[
    str, AfterValidator(_ip_address), WithJsonSchema({"type": "string", "format": "ip", "title": "IP address"})
]
ImageByDigest = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$")]
Language = Literal["python", "bash", "node"]

Architecture = Literal["vm", "queue", "cluster"]
Target = Literal["docker", "ec2", "eks", "existing"]

TARGETS: dict[str, tuple[str, ...]] = {"vm": ("docker", "ec2"), "queue": ("ec2",), "cluster": ("eks", "existing")}
"""The targets that each architecture can have."""

DEPLOYABLE = (("vm", "docker"),)
"""The pairs of architecture and target that this version deploys."""


class Section(BaseModel):
    """A group of settings: fixed once read, and no key that is not listed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Limits(Section):
    """What holds for the fleet as a whole (H7)."""

    max_concurrent_agents: WholeNumber = Field(default=10, ge=1, le=1_000)
    """Jobs that the fleet may run at once, over all workers."""
    task_timeout_seconds: WholeNumber = Field(default=3_600, ge=1, le=86_400)
    """The longest time limit that a job may ask for."""
    max_attempts: WholeNumber = Field(default=3, ge=1, le=10)
    """How often a job is tried if the infrastructure fails, the first time included."""


class Api(Section):
    """The API: where it listens and what it accepts."""

    bind_address: IpAddress = "127.0.0.1"
    """The address of this machine that the API is published on. Any but a loopback address makes it reachable from the
    network over plain HTTP: put a proxy with TLS before it."""
    port: WholeNumber = Field(default=8080, ge=1, le=65_535)
    """The TCP port on that address."""
    default_timeout_seconds: WholeNumber = Field(default=60, ge=1, le=86_400)
    """A job's time limit if it asks for none."""
    queue_limit: WholeNumber = Field(default=10_000, ge=1, le=1_000_000)
    """Queued jobs of one tenant, above which the API answers 429."""
    result_ttl_seconds: WholeNumber = Field(default=86_400, ge=60, le=31_536_000)
    """How long a result is kept after its job has ended."""
    tombstone_ttl_seconds: WholeNumber = Field(default=604_800, ge=0, le=31_536_000)
    """How long after that the job's id is still answered with 410 (expired) instead of 404 (unknown)."""


class Workers(Section):
    """The workers: how many, and how they hold the jobs that they run."""

    count: WholeNumber = Field(default=1, ge=1, le=8)
    """Worker containers."""
    concurrency: WholeNumber = Field(default=4, ge=1, le=100)
    """Jobs that one worker runs at once."""
    drain_seconds: WholeNumber = Field(default=60, ge=0, le=86_400)
    """How long a worker that is replaced or stopped may finish its jobs. What runs longer is stopped and runs again on
    another worker, as long as it has attempts left."""
    lease_seconds: WholeNumber = Field(default=30, ge=3, le=3_600)
    """How long a job belongs to a worker without a renewal. A killed worker's jobs come back after this time."""
    lease_renew_seconds: WholeNumber = Field(default=10, ge=1, le=1_800)
    """How often a worker renews its leases."""


class Sandbox(Section):
    """The sandboxes that jobs run in: what one may use, and how many there are."""

    runtime: Literal["runc", "runsc"] = "runc"
    """The container runtime. `runsc` is gVisor, which Docker must know under that name."""
    memory_mebibytes: WholeNumber = Field(default=512, ge=64, le=1_048_576)
    """Memory of one sandbox, its scratch space included. There is no swap."""
    cpus: Number = Field(default=1.0, ge=0.1, le=256)
    """CPUs of one sandbox."""
    processes: WholeNumber = Field(default=128, ge=16, le=32_768)
    """Processes and threads in one sandbox."""
    scratch_mebibytes: WholeNumber = Field(default=256, ge=1, le=1_048_576)
    """Size of the working directory. It is in memory and counts towards `memory_mebibytes`."""
    warm: WholeNumber = Field(default=4, ge=0, le=1_000)
    """Sandboxes kept started ahead of need, each ready within milliseconds."""
    maximum: WholeNumber = Field(default=8, ge=1, le=1_000)
    """Sandboxes at once, the warm ones included."""
    start_timeout_seconds: WholeNumber = Field(default=30, ge=1, le=600)
    """How long a sandbox may take to start before it is given up."""
    languages: Annotated[tuple[Language, ...], AfterValidator(_distinct)] = Field(
        default=("python", "bash", "node"), min_length=1
    )
    """The languages that jobs may be in, each at most once."""


class Database(Section):
    """PostgreSQL, which holds the jobs and their results."""

    memory_mebibytes: WholeNumber = Field(default=256, ge=192, le=1_048_576)
    """The most memory that its container may use."""


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


class Images(Section):
    """Where the images come from: built here, or taken by digest. One of the two."""

    build: Build = Build()
    """Build them."""
    digests: Digests | None = None
    """Take these. With them nothing is built."""


class Settings(Section):
    """Everything that a stack sets."""

    architecture: Architecture
    """Where the fleet runs: `vm` is one Docker host. This version deploys `vm`."""
    target: Target = "docker"
    """What that is on: `docker` is this machine's own Docker. This version deploys `docker`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the fleet's own programs log."""
    limits: Limits = Limits()
    api: Api = Api()
    workers: Workers = Workers()
    sandbox: Sandbox = Sandbox()
    database: Database = Database()
    images: Images = Images()
