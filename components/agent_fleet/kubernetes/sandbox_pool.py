"""Sandboxes as pods: a Deployment of them waits, a worker claims one, uses it once and deletes it."""

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
    """Sandboxes at once, waiting and claimed together."""
    memory_mebibytes: pulumi.Input[int]
    """Memory of one sandbox, its scratch space included."""
    cpus: pulumi.Input[float]
    """CPUs of one sandbox."""
    scratch_mebibytes: int
    """Size of the working directory, which is in memory. A plain number: what /tmp gets follows from it."""
    runtime_class: NotRequired[pulumi.Input[str]]
    """A RuntimeClass of the cluster, for example one of gVisor. Default: the nodes' own runtime."""
    untrusted_nodes: NotRequired[bool]
    """Whether the pods only run on nodes labelled and tainted `agent-fleet.io/untrusted=true`. Default: no."""
    pull_policy: NotRequired[str]
    """Default `IfNotPresent`: the image is named by its digest."""
    grace_seconds: NotRequired[int]
    """How long a job may go on in a sandbox that a new image replaces. Default 30; it is then tried again."""
    worker_namespace: pulumi.Input[str]
    """The namespace of the pool's workers."""
    worker_service_account: pulumi.Input[str]
    """The workers' service account: the only one that may claim and delete the pods."""


class SandboxPool(pulumi.ComponentResource):
    """Pods that run strangers' code once, and the role that one pool's workers have over them."""

    selector: pulumi.Output[str]
    """The label selector that finds the pods."""
    namespace: pulumi.Output[str]
    """Their namespace, once the worker may use it."""

    def __init__(self, name: str, args: SandboxPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the pods, their budget and the workers' role; see `SandboxPoolArgs`."""
        super().__init__("agent-fleet:index:SandboxPool", name, {}, opts)
        self.selector = pulumi.Output.from_input("")
        self.namespace = pulumi.Output.from_input(args["namespace"])
        self.register_outputs({"selector": self.selector, "namespace": self.namespace})
