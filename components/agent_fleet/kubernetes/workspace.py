"""A team's shared workspace: one claim that all of its workers mount (H6)."""

from typing import NotRequired, TypedDict

import pulumi


class WorkspaceClaimArgs(TypedDict):
    """The claim."""

    fleet: str
    """The fleet's name."""
    team: str
    """The team that it belongs to."""
    namespace: pulumi.Input[str]
    """The team's namespace of purpose `pools`."""
    storage_class: NotRequired[pulumi.Input[str]]
    """A StorageClass of the cluster. Default: the cluster's default class."""
    access_mode: NotRequired[str]
    """Default `ReadWriteMany`; `ReadWriteOnce` only where there is one node."""
    storage: NotRequired[pulumi.Input[str]]
    """The size. Default "100Gi" (H6), which EFS does not heed."""


class WorkspaceClaim(pulumi.ComponentResource):
    """The claim of a team's shared workspace."""

    claim_name: pulumi.Output[str]
    """What pods of the namespace mount."""

    def __init__(self, name: str, args: WorkspaceClaimArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the claim; see `WorkspaceClaimArgs`."""
        super().__init__("agent-fleet:index:WorkspaceClaim", name, {}, opts)
        self.claim_name = pulumi.Output.from_input("workspace")
        self.register_outputs({"claim_name": self.claim_name})
