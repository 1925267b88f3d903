"""What an `AgentPool` is given, field by field, with its defaults."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi

from agent_fleet.doorbell import DoorbellArgs
from agent_fleet.execution_args import ApiLimits
from agent_fleet.inputs import applied
from agent_fleet.kubernetes.quantities import mebibytes, millicpus
from agent_fleet.sandbox_spec import whole_number
from agent_fleet.workload import Reservation, Resources


class PodResourcesArgs(TypedDict, total=False):
    """What one pod of a pool takes; its two containers get half each. Defaults: H3. Plain, because sums are checked."""

    requests_cpu: str
    """Default "250m"."""
    requests_memory: str
    """Default "256Mi"."""
    limits_cpu: str
    """Default "500m"."""
    limits_memory: str
    """Default "512Mi"."""


class ApiLimitsArgs(TypedDict, total=False):
    """What an API accepts."""

    languages: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The languages that jobs may be in. Default: python, bash, node."""
    default_timeout_seconds: pulumi.Input[int]
    """A job's time limit if it asks for none. Default 60, or the longest job's if that is shorter."""
    max_attempts: pulumi.Input[int]
    """How often a job is tried if the infrastructure fails. Default 3 (H7)."""
    result_ttl_seconds: pulumi.Input[int]
    """How long a result is kept. Default 86,400."""
    tombstone_ttl_seconds: pulumi.Input[int]
    """How long an expired job is answered with 410. Default 604,800."""
    queue_limit: pulumi.Input[int]
    """Queued jobs of one team, above which the API answers 429. Default 10,000."""


class PoolWorkerArgs(TypedDict, total=False):
    """How the pool's workers hold jobs."""

    concurrency: int
    """Jobs that one worker runs at once. Default 2, which the default memory holds. Plain: sandboxes follow from it."""
    warm: int
    """Sandboxes that one worker keeps claimed ahead of need. Default 1."""
    longest_job_seconds: int
    """The longest that a job may run; a pod that is told to stop has so long to end it. Default 3,600 (H7)."""
    lease_seconds: pulumi.Input[int]
    """How long a job is a worker's without a renewal. Default 30."""
    lease_renew_seconds: pulumi.Input[int]
    """How often a worker renews its leases. Default 10."""


class PodSandboxArgs(TypedDict):
    """The sandboxes of a pool: what a job may use."""

    image: pulumi.Input[str]
    """The sandbox image, by digest."""
    memory_mebibytes: NotRequired[pulumi.Input[int]]
    """Memory of one sandbox, its scratch space included. Default 256."""
    cpus: NotRequired[pulumi.Input[float]]
    """The most CPUs that one sandbox gets. Default 0.5."""
    reserved_cpus: NotRequired[pulumi.Input[float]]
    """What of them it is sure to get, whatever the others do. Default: a quarter, as most sandboxes wait."""
    processes: NotRequired[pulumi.Input[int]]
    """Processes and threads; the nodes' `podPidsLimit` must hold it. Default 128."""
    scratch_mebibytes: NotRequired[int]
    """Size of the working directory, which is in memory. Default 64."""
    start_timeout_seconds: NotRequired[pulumi.Input[int]]
    """How long a sandbox may take to start. Default 30."""
    cpu_seconds: NotRequired[pulumi.Input[float]]
    """Processor time of a job, all its processes together. Default: only its time limit bounds it."""
    runtime_class: NotRequired[str]
    """A RuntimeClass of the cluster, for example one of gVisor. Default: the nodes' own runtime."""
    untrusted_nodes: NotRequired[bool]
    """Whether the pods only run on nodes labelled and tainted `agent-fleet.io/untrusted=true`. Default: no."""


class AgentPoolArgs(TypedDict):
    """One agent type of one team."""

    fleet: str
    """The fleet's name."""
    team: str
    """The team: the tenant whose keys the pool's API takes."""
    agent_type: str
    """The agent type, which is the pool's name and that of its objects."""
    namespace: pulumi.Input[str]
    """A namespace of purpose `pools`."""
    image: pulumi.Input[str]
    """The runtime image, by digest."""
    database_url: pulumi.Input[str]
    """The connection URL of the jobs database. A secret."""
    doorbell: NotRequired[DoorbellArgs]
    """What wakes the workers: the same for the whole fleet. Default: PostgreSQL."""
    template: NotRequired[str]
    """The template whose jobs are this pool's. Default `<team>-<agent_type>`."""
    replicas: NotRequired[pulumi.Input[int]]
    """Pods; with `autoscaled` those that it starts with. Default: one, and an autoscaler's to decide from then on."""
    autoscaled: NotRequired[bool]
    """Whether an autoscaler decides on the number of pods. Default: no, and yes without `replicas`."""
    resources: NotRequired[PodResourcesArgs]
    """What one pod takes."""
    api: NotRequired[ApiLimitsArgs]
    """What the pool's API accepts."""
    worker: NotRequired[PoolWorkerArgs]
    """How its workers hold jobs."""
    sandbox: PodSandboxArgs
    """Its sandboxes."""
    sandbox_namespace: pulumi.Input[str]
    """A namespace of purpose `sandboxes`."""
    sandbox_replicas: NotRequired[pulumi.Input[int]]
    """Sandboxes at once. Default: what one worker can use, concurrency and warm together."""
    agent_sandbox: NotRequired[bool]
    """Whether the cluster's agent-sandbox keeps the sandboxes, and not a Deployment. Default: no."""
    workspace_claim: NotRequired[pulumi.Input[str]]
    """A claim in the namespace, mounted at /workspace in the worker. Default: none."""
    image_pull_policy: NotRequired[str]
    """`IfNotPresent` (the default, images being named by digest), `Always`, or `Never` for imported images."""
    network_canary: NotRequired[str]
    """`enforce` (the default: a pool whose sandboxes reach the network runs nothing) or `report`."""
    canary_targets: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]]]
    """`host:port`s that no sandbox may reach, beside the metadata address and the API server. Default: none."""
    log_level: NotRequired[pulumi.Input[str]]
    """`debug`, `info` (the default), `warning` or `error`."""
    otlp_endpoint: NotRequired[pulumi.Input[str]]
    """The URL of a collector that takes spans by OTLP over HTTP; the namespace must allow it. Default: none."""
    settings: NotRequired[dict[str, pulumi.Input[str]]]
    """More variables for the worker, for example a proxy's URL (G5). Never a secret."""
    routed_seconds: NotRequired[int]
    """How long a pod that is told to stop still answers, until all who route to it know. Default 5."""


DEFAULT_LONGEST_JOB_SECONDS = 3600
DEFAULT_ROUTED_SECONDS = 5


def api_limits(given: ApiLimitsArgs, longest_job_seconds: pulumi.Input[int]) -> ApiLimits:
    """What an API accepts, with the defaults filled in."""
    return ApiLimits(
        languages=given.get("languages", ("python", "bash", "node")),
        default_timeout_seconds=given.get("default_timeout_seconds", _at_most(60, longest_job_seconds)),
        max_timeout_seconds=longest_job_seconds,
        max_attempts=given.get("max_attempts", 3),
        result_ttl_seconds=given.get("result_ttl_seconds", 86_400),
        tombstone_ttl_seconds=given.get("tombstone_ttl_seconds", 604_800),
        queue_limit=given.get("queue_limit", 10_000),
    )


def _at_most(seconds: int, longest: pulumi.Input[int]) -> pulumi.Input[int]:
    def lower(limit: int) -> int:
        return min(seconds, limit)

    return applied(whole_number(longest), lower)


def pod_resources(given: PodResourcesArgs, containers: int) -> Resources:
    """What each of a pod's containers takes when they share evenly.

    Raises ValueError for what is no quantity, and for a request above its limit.
    """
    requests_cpu = millicpus(given.get("requests_cpu", "250m"), "requests_cpu")
    limits_cpu = millicpus(given.get("limits_cpu", "500m"), "limits_cpu")
    requests_memory = mebibytes(given.get("requests_memory", "256Mi"), "requests_memory")
    limits_memory = mebibytes(given.get("limits_memory", "512Mi"), "limits_memory")
    for what, request, limit in (("cpu", requests_cpu, limits_cpu), ("memory", requests_memory, limits_memory)):
        if request > limit:
            raise ValueError(
                f"requests_{what} is {given.get(f'requests_{what}')!r} and limits_{what} is "
                f"{given.get(f'limits_{what}')!r}: a request is part of its limit; lower the first or raise the second"
            )
    return Resources(
        memory_mebibytes=limits_memory // containers,
        cpus=limits_cpu / containers / 1000,
        reserved=Reservation(memory_mebibytes=requests_memory // containers, cpus=requests_cpu / containers / 1000),
    )
