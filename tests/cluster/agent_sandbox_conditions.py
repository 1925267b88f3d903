"""What agent-sandbox says in the status of Sandboxes and claims, with upstream's reasons: for the stand-in."""

from collections.abc import Mapping, Sequence
from typing import Any

Condition = dict[str, str]
Object = Mapping[str, Any]


def sandbox_conditions(pod: Object | None, refused: str) -> list[Condition]:
    """The conditions of a Sandbox with this pod; `refused` is why none could be made."""
    if refused:
        return [_not_ready("ReconcilerError", f"Error seen: {refused}")]
    if pod is None:
        return [_not_ready("DependenciesNotReady", "Pod does not exist")]
    status = pod.get("status", {})
    phase = status.get("phase", "Pending")
    if phase in ("Succeeded", "Failed"):
        how = f"Pod{phase}"
        message = "Pod completed successfully" if phase == "Succeeded" else "Pod failed"
        return [_not_ready(how, message), _condition("Finished", "True", how, message)]
    found = {one["type"]: one["status"] for one in status.get("conditions", ())}
    if phase == "Running" and found.get("Ready") == "True" and status.get("podIPs"):
        return [_condition("Ready", "True", "DependenciesReady", "Pod is Ready")]
    return [_not_ready("DependenciesNotReady", f"Pod exists with phase: {phase}")]


def claim_conditions(sandbox: Object | None, missing: str) -> list[Condition]:
    """The conditions of a claim that is bound to this Sandbox; `missing` is the reason where its pool is not there."""
    if sandbox is None:
        return [_not_ready(missing or "SandboxMissing", "Sandbox does not exist")]
    found = conditions_of(sandbox)
    forwarded = [found[kind] for kind in ("Ready", "Finished") if kind in found]
    return [{key: one[key] for key in ("type", "status", "reason", "message")} for one in forwarded] or [
        _not_ready("SandboxNotReady", "Sandbox is not ready")
    ]


def conditions_of(one: Object) -> dict[str, Condition]:
    """An object's conditions by type."""
    return {condition["type"]: condition for condition in one.get("status", {}).get("conditions", ())}


def with_times(conditions: Sequence[Condition], before: Object, now: str) -> list[Condition]:
    """The conditions, each with the time since which it has its status."""
    old = conditions_of(before)
    return [
        {
            **one,
            "lastTransitionTime": old[one["type"]]["lastTransitionTime"]
            if old.get(one["type"], {}).get("status") == one["status"]
            else now,
        }
        for one in conditions
    ]


def _not_ready(reason: str, message: str) -> Condition:
    return _condition("Ready", "False", reason, message)


def _condition(kind: str, status: str, reason: str, message: str) -> Condition:
    return {"type": kind, "status": status, "reason": reason, "message": message}
