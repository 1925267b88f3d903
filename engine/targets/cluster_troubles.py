"""Why pods of a fleet do not run, in the cluster's own words: quotas, images, nodes, crashes."""

from typing import Any

from engine.targets.cluster_client import ClusterClient
from engine.targets.cluster_objects import FLEET_LABEL

_PATIENT = ("ContainerCreating", "PodInitializing")
_TOLD = 6


def troubles(client: ClusterClient, fleet: str) -> list[str]:
    """One line for each thing that keeps a pod from running; the same cause in several pods is told once."""
    selector = f"{FLEET_LABEL}={fleet}"
    workloads = [f"/apis/apps/v1/{plural}" for plural in ("deployments", "replicasets", "statefulsets", "daemonsets")]
    claims = "/api/v1/persistentvolumeclaims"
    answers = client.get_all(["/api/v1/pods", claims, *workloads], labelSelector=selector)
    found: dict[str, str] = {}
    for path in workloads:
        for item in answers.get(path, {}).get("items", []):
            for told in _refusals(item):
                found.setdefault(told, _name(item))
    for claim in answers.get(claims, {}).get("items", []):
        if claim.get("status", {}).get("phase") == "Lost":
            found.setdefault("its volume is lost", _name(claim))
    for pod in answers.get("/api/v1/pods", {}).get("items", []):
        for told in _pod(pod):
            found.setdefault(told, _name(pod))
    lines = [f"{where}: {told}" for told, where in found.items()]
    more = f"and {len(lines) - _TOLD} more" if len(lines) > _TOLD else ""
    return [*lines[:_TOLD], *([more] if more else [])]


def _name(item: dict[str, Any]) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _refusals(workload: dict[str, Any]) -> list[str]:
    """What the API server said to the pods that a controller wanted: a quota, a limit, Pod Security."""
    if workload.get("kind") == "Deployment" or workload.get("spec", {}).get("strategy"):
        return []  # its ReplicaSet says the same
    return [
        str(condition.get("message"))
        for condition in workload.get("status", {}).get("conditions") or ()
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
    ]


def _pod(pod: dict[str, Any]) -> list[str]:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Succeeded":
        return []
    found = [
        f"no node takes it: {condition.get('message')}"
        for condition in status.get("conditions") or ()
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False"
    ]
    if status.get("phase") == "Failed":
        found.append(f"{status.get('reason') or 'it failed'}: {status.get('message') or ''}".rstrip(": "))
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _PATIENT:
            found.append(f"{container['name']}: {_waiting(waiting, container)}")
    return found


def _waiting(waiting: dict[str, Any], container: dict[str, Any]) -> str:
    reason, message = waiting.get("reason") or "waiting", waiting.get("message") or ""
    if reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
        return f"its image {container.get('image')} cannot be had ({reason}{f': {message}' if message else ''})"
    if reason == "CrashLoopBackOff":
        last = container.get("lastState", {}).get("terminated", {})
        said = f": {str(last['message']).strip()}" if last.get("message") else ""
        return f"it ends again and again, last with code {last.get('exitCode', 'unknown')}{said}"
    return f"{reason}{f': {message}' if message else ''}"
