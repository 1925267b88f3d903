"""A team's shared workspace: one claim that all of its workers mount (H6)."""

from typing import NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import metadata, object_labels
from agent_fleet.kubernetes.ordering import once_there

CLAIM_NAME = "workspace"


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
        labels = object_labels(args["fleet"], "workspace", team=args["team"])
        storage = args.get("storage", "100Gi")
        # Renaming this resource replaces the claim, and with it all that the team's jobs have left in the workspace.
        claim = k8s.core.v1.PersistentVolumeClaim(
            name,
            metadata=metadata(CLAIM_NAME, args["namespace"], labels),
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=[args.get("access_mode", "ReadWriteMany")],
                storage_class_name=args.get("storage_class"),
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage}),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.claim_name = once_there(CLAIM_NAME, [claim])
        self.register_outputs({"claim_name": self.claim_name})
