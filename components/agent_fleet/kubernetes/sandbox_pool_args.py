"""What a `SandboxPool` is given, field by field, with its defaults."""

from typing import NotRequired, TypedDict

import pulumi


class SandboxPoolArgs(TypedDict):
    """What the sandboxes are, and who may claim them."""

    fleet: str
    """The fleet's name."""
    team: str
    """The team that it belongs to."""
    pool: str
    """The pool's name, which is its agent type."""
    namespace: pulumi.Input[str]
    """A namespace of purpose `sandboxes`."""
    image: pulumi.Input[str]
    """The sandbox image, by digest."""
    replicas: pulumi.Input[int]
    """Sandboxes at once, waiting and claimed together. With `agent_sandbox` so many may be claimed, and a quarter of
    them, rounded up, waits beside those."""
    agent_sandbox: NotRequired[bool]
    """Whether the cluster's agent-sandbox keeps the pods, by a SandboxTemplate and a SandboxWarmPool of the pool's
    name, and not a Deployment. It must serve `extensions.agents.x-k8s.io/v1beta1`. Default: no."""
    memory_mebibytes: pulumi.Input[int]
    """Memory of one sandbox, its scratch space included."""
    cpus: pulumi.Input[float]
    """The most CPUs that one sandbox gets."""
    reserved_cpus: NotRequired[pulumi.Input[float]]
    """What of them it is sure to get, whatever the others do. Default: a quarter, as most sandboxes wait."""
    scratch_mebibytes: int
    """Size of the working directory, which is in memory. A plain number: what /tmp gets follows from it."""
    runtime_class: NotRequired[pulumi.Input[str]]
    """A RuntimeClass of the cluster, for example one of gVisor. Default: the nodes' own runtime."""
    untrusted_nodes: NotRequired[bool]
    """Whether the pods only run on nodes labelled and tainted `agent-fleet.io/untrusted=true`. Default: no."""
    pull_policy: NotRequired[str]
    """Default `IfNotPresent`: the image is named by its digest."""
    grace_seconds: NotRequired[int]
    """How long a job may go on in a sandbox that is told to stop, as by a new image: the longest job's time, or it is
    tried again. A sandbox without a job leaves at once. Default 30."""
    worker_namespace: pulumi.Input[str]
    """The namespace of the pool's workers."""
    worker_service_account: pulumi.Input[str]
    """The workers' service account: the only one that may claim and delete the pods."""


DEFAULT_GRACE_SECONDS = 30
