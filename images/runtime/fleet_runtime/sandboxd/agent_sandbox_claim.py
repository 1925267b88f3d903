"""A SandboxClaim of agent-sandbox (`extensions.agents.x-k8s.io/v1beta1`), and what its controller says of it.

What is written here of its controller is that of v0.5.6: https://github.com/kubernetes-sigs/agent-sandbox.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet_runtime.sandboxd.kubernetes_pod import CLAIMED_AT, CLAIMED_BY, KEPT_BY_KARPENTER

CLAIMS_GROUP = "extensions.agents.x-k8s.io/v1beta1"
SANDBOXES_GROUP = "agents.x-k8s.io/v1beta1"
POD_NAME = "agents.x-k8s.io/pod-name"
"""Annotation of a Sandbox: its pod's name, where that is not its own."""
FINISHED_SECONDS = 60
"""So long after its pod has ended the controller deletes a claim that nobody has deleted: its worker is gone."""

_MISCONFIGURED = {
    "EnvVarsInjectionRejected",
    "InvalidMetadata",
    "TemplateNotFound",
    "VolumeClaimTemplatesError",
    "WarmPoolNotFound",
}
"""Reasons of the condition Ready that stay until somebody changes an object."""
_FAULT = "ReconcilerError"


@dataclass(frozen=True)
class Claim:
    """What matters of a claim, at one version of it."""

    name: str
    uid: str
    owner: str | None
    """The worker that made it."""
    deleting: bool
    sandbox: str | None
    """The Sandbox that it is bound to."""
    used: bool
    """Whether the pod of its sandbox has ended."""
    waits: str | None
    """Why its sandbox is not ready, as the controller says; None where it is, or where nothing was said."""
    no_room: bool
    """Whether it waits for room in the namespace's quota."""
    fault: bool
    """Whether it waits because something failed that may pass."""
    misconfigured: bool
    """Whether it waits for somebody to change something."""


def read_claim(described: Mapping[str, Any]) -> Claim:
    """Return the claim that the API server describes."""
    metadata, status = described["metadata"], described.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    reason, said = ready.get("reason", "NotReady"), None
    if ready and ready.get("status") != "True":
        said = f"{reason}: {ready.get('message', '')}".rstrip(": ")
    no_room = said is not None and "exceeded quota" in said
    return Claim(
        name=metadata["name"],
        uid=metadata["uid"],
        owner=(metadata.get("annotations") or {}).get(CLAIMED_BY),
        deleting="deletionTimestamp" in metadata,
        sandbox=(status.get("sandbox") or {}).get("name") or None,
        used=conditions.get("Finished", {}).get("status") == "True",
        waits=said,
        no_room=no_room,
        fault=said is not None and reason == _FAULT and not no_room,
        misconfigured=said is not None and reason in _MISCONFIGURED,
    )


def describe_claim(name: str, warm_pool: str, selector: str, owner: str, now: datetime) -> dict[str, Any]:
    """Return a claim on a warm pool's sandbox, to be created by a worker; it has the labels of the selector.

    It asks for no variable and no volume: with either the controller starts a sandbox of its own, cold.
    """
    held = {CLAIMED_BY: owner, CLAIMED_AT: now.isoformat()}
    return {
        "apiVersion": CLAIMS_GROUP,
        "kind": "SandboxClaim",
        "metadata": {
            "name": name,
            "labels": dict(label.split("=", 1) for label in selector.split(",")),
            "annotations": held,
        },
        "spec": {
            "warmPoolRef": {"name": warm_pool},
            "lifecycle": {"ttlSecondsAfterFinished": FINISHED_SECONDS, "shutdownPolicy": "Delete"},
            # The controller copies these to the pod: for people, and for Karpenter.
            "additionalPodMetadata": {"annotations": {**held, KEPT_BY_KARPENTER: "true"}},
        },
    }
