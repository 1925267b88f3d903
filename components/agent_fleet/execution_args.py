"""What an `ExecutionService` is given, field by field."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from agent_fleet.doorbell import DoorbellArgs
from agent_fleet.sandbox_egress import SandboxEgressArgs


class ApiLimits(TypedDict):
    """What an API accepts, whatever runs it."""

    languages: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The languages that jobs may be in, of those the sandbox image has."""
    default_timeout_seconds: pulumi.Input[int]
    """A job's time limit if it asks for none."""
    max_timeout_seconds: pulumi.Input[int]
    """The longest time limit that a job may ask for."""
    max_attempts: pulumi.Input[int]
    """How often a job is tried if the infrastructure fails, the first time included."""
    result_ttl_seconds: pulumi.Input[int]
    """How long a result is kept after its job has ended."""
    tombstone_ttl_seconds: pulumi.Input[int]
    """How long an expired job is answered with 410 before it is unknown."""
    queue_limit: pulumi.Input[int]
    """Queued jobs per tenant, above which the API answers 429."""


class TenantBudgetArgs(TypedDict):
    """What one tenant may use; over it, its jobs wait in the queue. What is left out is not limited."""

    tenant: str
    """The tenant's name: on a cluster the team's."""
    max_concurrent: NotRequired[int]
    """Jobs that run at once."""
    jobs_per_minute: NotRequired[int]
    """Jobs that begin: so many at once after a quiet minute, so many a minute in the long run."""
    jobs_per_day: NotRequired[int]
    """Jobs that begin on one day (UTC)."""
    cpu_seconds_per_day: NotRequired[int]
    """Processor time of jobs that end on one day (UTC)."""


class ApiArgs(ApiLimits):
    """The API: what it listens on and what it accepts."""

    budgets: NotRequired[list[TenantBudgetArgs]]
    """The budgets of tenants. Default: none."""

    bind_address: pulumi.Input[str]
    """The host's IP address that the port is published on. Any but a loopback address exposes plain HTTP."""
    port: pulumi.Input[int]
    """The host's TCP port."""


class WorkerLimits(TypedDict):
    """How a worker holds jobs, whatever runs it."""

    concurrency: pulumi.Input[int]
    """Jobs that one worker runs at once."""
    drain_seconds: int
    """How long a worker that was told to stop may finish its jobs. A plain number: the grace period follows it."""
    lease_seconds: pulumi.Input[int]
    """How long a job is a worker's without a renewal; how fast a killed worker's jobs come back."""
    lease_renew_seconds: pulumi.Input[int]
    """How often a worker renews its leases."""


class WorkerArgs(WorkerLimits):
    """The workers: how many, and how they hold jobs."""

    count: int
    """Worker containers. A plain number, because it decides how many resources there are."""


class SandboxArgs(TypedDict):
    """The sandboxes: what a job may use, and how many are kept."""

    image: pulumi.Input[str]
    """The sandbox image, by its content."""
    runtime: pulumi.Input[str]
    """The name of the Docker runtime: `runc`, or `runsc` for gVisor."""
    memory_mebibytes: pulumi.Input[int]
    """Memory of one sandbox, its scratch space included."""
    cpus: pulumi.Input[float]
    """CPUs of one sandbox."""
    processes: pulumi.Input[int]
    """Processes and threads in one sandbox."""
    scratch_mebibytes: pulumi.Input[int]
    """Size of the working directory, which is in memory."""
    warm: pulumi.Input[int]
    """Sandboxes kept started ahead of need."""
    maximum: pulumi.Input[int]
    """Sandboxes at once, warm ones included."""
    start_timeout_seconds: pulumi.Input[int]
    """How long a sandbox may take to start."""
    cpu_seconds: NotRequired[pulumi.Input[float]]
    """Processor time of a job, all its processes together. Default: only its time limit bounds it."""


class TrustedCredentialsArgs(TypedDict):
    """A file with credentials that every job of an agent type can read, which weakens the posture."""

    file: str
    """Its path on Docker's host. It is mounted when a job starts, and read by nothing else."""
    tenant: str
    """The only tenant that has this agent type."""


class HostAgentArgs(TypedDict):
    """One agent type: its sandboxes, each made for one job, and a worker of its own."""

    image: NotRequired[pulumi.Input[str]]
    """The image of its sandboxes, by its content; it has the sandbox image's runner. Default: the sandbox image."""
    shell: NotRequired[bool]
    """Whether that image has one. Default: it has. Without it the API takes no command that is a text."""
    memory_mebibytes: pulumi.Input[int]
    """Memory of one sandbox, its scratch space included."""
    cpus: pulumi.Input[float]
    """CPUs of one sandbox."""
    scratch_mebibytes: pulumi.Input[int]
    """Size of the job's own folder, which is in memory."""
    maximum: int
    """Jobs of this type at once. A plain number, like a worker's concurrency."""
    prompt_command: NotRequired[Sequence[pulumi.Input[str]]]
    """The program and its arguments that a prompt is given to, on standard input. Default: it takes no prompts."""
    workspace_mebibytes: NotRequired[int]
    """Size above which a workspace gets no further job. Default: none."""
    egress: NotRequired[bool]
    """Whether its jobs may go where the service's `egress` says. Default: nowhere."""
    trusted_credentials: NotRequired[TrustedCredentialsArgs]
    """Credentials within its sandboxes. Default: none, and `egress` adds what its jobs need."""


class ExecutionServiceArgs(TypedDict):
    """What the service is given."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the labels and for the runtime's own records."""
    image: pulumi.Input[str]
    """The runtime image, by its content."""
    database_url: pulumi.Input[str]
    """The connection URL of the jobs database. A secret."""
    doorbell: NotRequired[DoorbellArgs]
    """What wakes the workers. Left out: PostgreSQL."""
    frontend_network: pulumi.Input[str]
    """The network that the API publishes its port from."""
    backend_network: pulumi.Input[str]
    """The internal network of database, API and workers."""
    docker_socket: str
    """The Docker host's own socket, for sandboxd alone. A plain path."""
    log_level: pulumi.Input[str]
    """`debug`, `info`, `warning` or `error`."""
    otlp_endpoint: NotRequired[pulumi.Input[str]]
    """The URL of a collector that takes spans by OTLP over HTTP; workers then join the frontend network, to reach it.
    Left out: no spans are made."""
    api: ApiArgs
    """The API."""
    workers: WorkerArgs
    """The workers."""
    sandbox: SandboxArgs
    """The sandboxes."""
    agents: NotRequired[Mapping[str, HostAgentArgs]]
    """The agent types by their names. Left out: none."""
    egress: NotRequired[SandboxEgressArgs]
    """Where jobs may go. Left out: nowhere."""
