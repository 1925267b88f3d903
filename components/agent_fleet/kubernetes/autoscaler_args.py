"""What a `PoolAutoscaler` is given, field by field, with its defaults."""

from typing import NotRequired, TypedDict

import pulumi


class DatabaseSecretArgs(TypedDict):
    """Where KEDA finds the connection to the jobs database."""

    name: pulumi.Input[str]
    """A Secret in the namespace of what is scaled."""
    key: NotRequired[pulumi.Input[str]]
    """The key in it whose value is a `postgresql://` URL. Default `FLEET_DATABASE_URL`."""


class QueueScalingArgs(TypedDict):
    """Scaling on the jobs that wait or run, through KEDA."""

    database_secret: DatabaseSecretArgs
    """The connection. A role that may only read `jobs` is enough."""
    template: str
    """The template whose jobs are counted: the pool's. Plain, because it becomes part of a query."""
    jobs_per_replica: NotRequired[int]
    """Jobs that one replica is there for: what one worker runs at once. Default 4 (D10)."""
    polling_seconds: NotRequired[int]
    """How often the jobs are counted; the longest that a job waits before an empty pool wakes. Default 15."""
    cooldown_seconds: NotRequired[int]
    """How long no job may have been there before the last replica goes. Default 300."""


class SandboxScalingArgs(TypedDict):
    """The pool's sandboxes, scaled along with its workers."""

    namespace: pulumi.Input[str]
    """The namespace of the sandboxes."""
    deployment: pulumi.Input[str]
    """Their Deployment."""
    minimum: int
    """Sandboxes that are always there. At least what one worker claims ahead, or no job starts warm."""
    maximum: int
    """Sandboxes at once."""
    cpu_percent: NotRequired[int]
    """Of kind `hpa`: the mean CPU use, in percent of the request, above which sandboxes are added. Default 50."""
    database_secret: NotRequired[DatabaseSecretArgs]
    """Of kind `keda`: the connection, from a Secret in the sandboxes' own namespace. One sandbox a job."""


class PoolAutoscalerArgs(TypedDict):
    """What is scaled, on what, and how far. The defaults are the figures of H4."""

    fleet: str
    """The fleet's name, for the labels."""
    team: NotRequired[str]
    """The team that the pool belongs to, for the labels."""
    namespace: pulumi.Input[str]
    """The pool's namespace."""
    deployment: pulumi.Input[str]
    """The pool's Deployment, which must leave its replicas out."""
    pool: NotRequired[str]
    """The pool's name: that of the objects. Default: the component's own name."""
    minimum: NotRequired[int]
    """Fewest replicas. Default 2; 0 is for kind `keda` only."""
    maximum: NotRequired[int]
    """Most replicas. Default 10."""
    kind: NotRequired[str]
    """`hpa` (the default: CPU and memory, needs metrics-server) or `keda` (queued and running jobs, needs KEDA)."""
    cpu_percent: NotRequired[int]
    """Of kind `hpa`: mean CPU use, in percent of the request, above which replicas are added. Default 70."""
    memory_percent: NotRequired[int]
    """Of kind `hpa`: the same of memory. Default 80."""
    keda: NotRequired[QueueScalingArgs]
    """Of kind `keda`: what is counted."""
    sandboxes: NotRequired[SandboxScalingArgs]
    """The sandboxes, if they are scaled too. Default: they are not."""
