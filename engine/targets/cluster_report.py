"""What `make status` says of a fleet in a cluster: its parts, its pools, their autoscalers and sandboxes."""

from collections.abc import Mapping
from typing import Any

from engine.targets.cluster_client import ClusterClient
from engine.targets.cluster_objects import CLAIMED_BY, FLEET_LABEL, POOL_LABEL, ROLE_LABEL, TEAM_LABEL

_WORKLOADS = ("deployments", "statefulsets", "daemonsets")
_SCALERS = "/apis/autoscaling/v2/horizontalpodautoscalers"
_KEDA = "/apis/keda.sh/v1alpha1/scaledobjects"
_PODS = "/api/v1/pods"


def claimed(pod: Mapping[str, Any]) -> bool:
    """Whether a worker has taken this sandbox pod."""
    metadata = pod["metadata"]
    return bool((metadata.get("annotations") or {}).get(CLAIMED_BY) or (metadata.get("labels") or {}).get(CLAIMED_BY))


def condition(client: ClusterClient, fleet: str) -> list[str]:
    """A line for each workload, sandboxes beside the pool that they serve."""
    workloads = [f"/apis/apps/v1/{plural}" for plural in _WORKLOADS]
    answers = client.get_all([*workloads, _SCALERS, _KEDA, _PODS], labelSelector=f"{FLEET_LABEL}={fleet}")

    def items(path: str) -> list[dict[str, Any]]:
        return answers.get(path, {}).get("items", [])

    # KEDA's autoscalers carry its own labels, not always the fleet's: they are found by what they scale.
    every = client.get_all([_SCALERS]).get(_SCALERS, {}).get("items", [])
    scalers = {(scaler["metadata"]["namespace"], scaler["spec"]["scaleTargetRef"]["name"]): scaler for scaler in every}
    sandboxes = [
        pod
        for pod in items(_PODS)
        if _label(pod, ROLE_LABEL) == "sandbox" and "deletionTimestamp" not in pod["metadata"]
    ]
    lines: list[str] = []
    for path in workloads:
        for workload in items(path):
            if _label(workload, ROLE_LABEL) == "sandbox":
                continue
            words = [_replicas(workload)]
            key = workload["metadata"]["namespace"], workload["metadata"]["name"]
            if key in scalers:
                words.append(_autoscaler(scalers[key]))
            pool = _label(workload, TEAM_LABEL), _label(workload, POOL_LABEL)
            own = [pod for pod in sandboxes if (_label(pod, TEAM_LABEL), _label(pod, POOL_LABEL)) == pool]
            if all(pool) and own:
                taken = sum(map(claimed, own))
                free = _free(own)
                starting = len(own) - free - taken
                words.append(
                    f"sandboxes: {free} free, {taken} claimed{f', {starting} starting' if starting > 0 else ''}"
                )
            restarts = _restarts(workload, items(_PODS))
            if restarts:
                words.append(f"{restarts} restarts")
            lines.append(f"  {_where(workload, fleet):<32} {', '.join(words)}")
    return sorted(lines)


def _label(item: Mapping[str, Any], name: str) -> str:
    return str((item["metadata"].get("labels") or {}).get(name, ""))


def _where(workload: Mapping[str, Any], fleet: str) -> str:
    metadata = workload["metadata"]
    short = str(metadata["namespace"]).removeprefix(fleet).lstrip("-")
    return f"{short + '/' if short else ''}{metadata['name']}"


def _replicas(workload: Mapping[str, Any]) -> str:
    status = workload.get("status", {})
    if "desiredNumberScheduled" in status:
        return f"{status.get('numberReady', 0)} of {status['desiredNumberScheduled']} nodes"
    wanted = workload["spec"].get("replicas", 1)
    return f"{status.get('readyReplicas', 0)} of {wanted} ready"


def _autoscaler(scaler: Mapping[str, Any]) -> str:
    spec, status = scaler["spec"], scaler.get("status", {})
    return (
        f"autoscaled between {spec.get('minReplicas', 1)} and {spec['maxReplicas']} "
        f"(wants {status.get('desiredReplicas', 'nothing yet')})"
    )


def _free(pods: list[dict[str, Any]]) -> int:
    return sum(
        not claimed(pod)
        and any(
            each["type"] == "Ready" and each["status"] == "True" for each in pod.get("status", {}).get("conditions", [])
        )
        for pod in pods
    )


def _restarts(workload: Mapping[str, Any], pods: list[dict[str, Any]]) -> int:
    selector = workload["spec"]["selector"].get("matchLabels", {}).items()
    return sum(
        container.get("restartCount", 0)
        for pod in pods
        if pod["metadata"]["namespace"] == workload["metadata"]["namespace"]
        and selector <= (pod["metadata"].get("labels") or {}).items()
        for container in pod.get("status", {}).get("containerStatuses") or ()
    )
