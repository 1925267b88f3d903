"""What a cluster architecture stands on, whichever cluster it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as k8s
from agent_fleet import KarpenterArgs, NodeAutoscalerArgs

IdentityOfPool = Callable[[str, str, str], pulumi.Resource | None]
"""Binds a service account to a role of its own, given the name of its pool or API, its namespace and its own name.
None where the cluster knows no such roles."""


@dataclass(frozen=True)
class ManagedPostgres:
    """A database outside of the cluster."""

    url: pulumi.Output[str]
    """The connection URL. A secret."""
    address: pulumi.Output[str]
    """Its host, which no sandbox may reach."""
    cidrs: Sequence[str]
    """Where it may be, for NetworkPolicies."""


@dataclass(frozen=True)
class RingQueues:
    """Queues outside of the cluster for the doorbell, one for each pool."""

    url: pulumi.Output[str]
    """Their URL, with `{template}` for the pool's template."""
    cidrs: Sequence[str]
    """Where they are reached, for NetworkPolicies."""


def _no_identity(_name: str, _namespace: str, _service_account: str) -> pulumi.Resource | None:
    return None


@dataclass(frozen=True)
class Foundation:
    """A cluster that objects can be put on, and what it has."""

    provider: k8s.Provider
    """For everything in the cluster. A new kubeconfig of the same cluster replaces nothing."""
    ready: Sequence[pulumi.Resource] = ()
    """What must be there before the first pod can run."""
    untrusted_nodes: bool = False
    """Whether sandboxes have nodes of their own."""
    runtime_class: str | None = None
    """The RuntimeClass of sandboxes."""
    workspace_class: pulumi.Input[str] | None = None
    """The StorageClass of workspaces; None is the cluster's default."""
    database_class: pulumi.Input[str] | None = None
    """The StorageClass of the database's volume; None is the cluster's default."""
    managed_postgres: ManagedPostgres | None = None
    """The database, where it is not in the cluster."""
    ring_queues: RingQueues | None = None
    """The queues of the doorbell, where it is not in the cluster."""
    pod_identity_enabled: bool = False
    """Whether pods have roles in the cloud."""
    identity: IdentityOfPool = _no_identity
    karpenter: KarpenterArgs | None = None
    """What Karpenter needs, where it is to be installed."""
    nodes_as_needed: NodeAutoscalerArgs | None = None
    """The nodes that Karpenter starts for sandboxes, where it runs."""
    outputs: dict[str, pulumi.Output[str]] = field(default_factory=dict[str, pulumi.Output[str]])
    """What only this kind of cluster adds to the stack's outputs."""
