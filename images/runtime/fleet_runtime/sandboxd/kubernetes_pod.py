"""A sandbox pod as the API server describes it, and whether it may be trusted with a stranger's code."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet_runtime.sandboxd.kubernetes_api import CONTAINER

CLAIMED_BY = "agent-fleet.claimed-by"
"""Annotation: the worker that holds the pod."""
CLAIMED_AT = "agent-fleet.claimed-at"
CLAIMED = "agent-fleet.claimed"
"""Label, for people: `kubectl get pods -l agent-fleet.claimed=true`."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
KEPT_BY_KARPENTER = "karpenter.sh/do-not-disrupt"

_STUCK = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}


@dataclass(frozen=True)
class Pod:
    """What matters of a pod, at one version of it."""

    name: str
    uid: str
    version: str
    owner: str | None
    """The worker that has claimed it."""
    claimed_at: float | None
    """Seconds since 1970, by the owner's clock."""
    deleting: bool
    ready: bool
    restarts: int
    ended: bool
    """Whether its container, or all of it, has ended, be it by eviction."""
    out_of_memory: bool
    stuck: str | None
    """Why it does not start, where that is more than a matter of a moment."""
    weakness: str | None
    """What makes it unfit for a stranger's code."""
    controller: str | None = None
    """The UID of what owns it and makes another in its place."""

    @property
    def used(self) -> bool:
        """Whether its container has run before: what it held then may still be there."""
        return self.restarts > 0 or self.ended

    @property
    def unschedulable(self) -> bool:
        """Whether it waits for a node with room for it."""
        return self.stuck is not None and self.stuck.startswith("Unschedulable")

    @property
    def free(self) -> bool:
        """Whether it may be claimed."""
        return self.ready and self.owner is None and not self.deleting and not self.used and self.weakness is None


def read_pod(described: Mapping[str, Any]) -> Pod:
    """Return the pod that the API server describes."""
    metadata, spec, status = described["metadata"], described["spec"], described.get("status", {})
    annotations = metadata.get("annotations") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    container = next((one for one in status.get("containerStatuses") or () if one["name"] == CONTAINER), {})
    ends = [container.get(state, {}).get("terminated") for state in ("state", "lastState")]
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        owner=annotations.get(CLAIMED_BY),
        claimed_at=_seconds(annotations.get(CLAIMED_AT)),
        deleting="deletionTimestamp" in metadata,
        ready=conditions.get("Ready", {}).get("status") == "True",
        restarts=int(container.get("restartCount", 0)),
        ended=status.get("phase") in ("Failed", "Succeeded") or ends[0] is not None,
        out_of_memory=any(end is not None and end.get("reason") == "OOMKilled" for end in ends),
        stuck=_stuck(conditions, container),
        weakness=_weakness(spec),
        controller=(controlling(metadata) or {}).get("uid"),
    )


def controlling(metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the reference to an object's controlling owner, if it has one."""
    return next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)


def claim(version: str, owner: str, now: datetime) -> dict[str, Any]:
    """Return the patch that claims a pod of that version.

    A Deployment that shrinks takes other pods first, and Karpenter replaces other nodes.
    """
    annotations = {
        CLAIMED_BY: owner,
        CLAIMED_AT: now.isoformat(),
        DELETION_COST: "1000",
        KEPT_BY_KARPENTER: "true",
    }
    return {"metadata": {"resourceVersion": version, "annotations": annotations, "labels": {CLAIMED: "true"}}}


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _stuck(conditions: Mapping[str, Any], container: Mapping[str, Any]) -> str | None:
    waiting = container.get("state", {}).get("waiting", {})
    if waiting.get("reason") in _STUCK:
        return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}".rstrip(": ")
    return None


def _weakness(spec: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a pod's posture; it is the Deployment's to set, and not to be relied upon blindly."""
    found = next((one for one in spec.get("containers") or () if one["name"] == CONTAINER), None)
    if found is None or len(spec["containers"]) > 1:
        # A service mesh's side-car, say: it has a network and a service account.
        return f"its only container must be {CONTAINER!r}"
    security = {**(spec.get("securityContext") or {}), **(found.get("securityContext") or {})}
    capabilities = security.get("capabilities") or {}
    rules = {
        "automountServiceAccountToken must be false": spec.get("automountServiceAccountToken") is False,
        "it must not share the node's network, processes or IPC": not any(
            spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
        ),
        "its volumes must be of kind emptyDir": all("emptyDir" in volume for volume in spec.get("volumes") or ()),
        "resources.limits must hold memory and cpu": {"memory", "cpu"}
        <= ((found.get("resources") or {}).get("limits") or {}).keys(),
        "it must have no init containers": not spec.get("initContainers"),
        "stdin must be true": found.get("stdin") is True,
        "runAsNonRoot must be true": security.get("runAsNonRoot") is True,
        "readOnlyRootFilesystem must be true": security.get("readOnlyRootFilesystem") is True,
        "allowPrivilegeEscalation must be false": security.get("allowPrivilegeEscalation") is False,
        "it must not be privileged": not security.get("privileged"),
        "capabilities must drop ALL and add none": "ALL" in (capabilities.get("drop") or ())
        and not capabilities.get("add"),
        "seccompProfile must be RuntimeDefault or Localhost": (security.get("seccompProfile") or {}).get("type")
        in ("RuntimeDefault", "Localhost"),
    }
    broken = [rule for rule, kept in rules.items() if not kept]
    return "; ".join(broken) or None
