"""Why pods are not ready, in the words of the kubelet, the scheduler and the controllers."""

from collections.abc import Mapping
from typing import Any

from engine.standins.kubernetes.api import ApiError, ApiServer
from engine.standins.kubernetes.objects import lives_in, name_of

_HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})
_SHOWN = 5


def below(server: ApiServer, owner: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The pods that a Deployment, StatefulSet, DaemonSet or Job selects; none where they may not be listed."""
    selector = (owner.get("spec") or {}).get("selector") or {}
    labels: Mapping[str, str] = selector.get("matchLabels") or ({} if "matchExpressions" in selector else selector)
    if not labels or not all(isinstance(value, str) for value in labels.values()):
        return []
    query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items()), "limit": "200"}
    try:
        listed = server.get(f"/api/v1/namespaces/{lives_in(owner)}/pods", query) or {}
    except ApiError:
        return []
    return listed.get("items") or []


def any_ending(server: ApiServer, owner: Mapping[str, Any]) -> bool:
    """Whether one of the pods below is on its way out, and will free what it holds."""
    return any(pod["metadata"].get("deletionTimestamp") for pod in below(server, owner))


def problems_below(server: ApiServer, owner: Mapping[str, Any]) -> list[str]:
    """What is wrong with the pods that an object selects, the same words only once."""
    found: dict[str, int] = {}
    for pod in below(server, owner):
        if not pod["metadata"].get("deletionTimestamp"):
            for text in problems(pod):
                found[text] = found.get(text, 0) + 1
    return [f"{text} ({count} pods)" if count > 1 else text for text, count in list(found.items())[:_SHOWN]]


def problems(pod: Mapping[str, Any]) -> list[str]:
    """What is wrong with one pod."""
    status: Mapping[str, Any] = pod.get("status") or {}
    found: list[str] = []
    if status.get("phase") == "Failed" and status.get("reason"):
        found.append(f"{status['reason']}: {status.get('message', '')}".rstrip(": "))
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            found.append(f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}")
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        found += _container(container)
    return found


def event_problems(server: ApiServer, thing: Mapping[str, Any]) -> list[str]:
    """The newest warnings that events tell of an object."""
    query = {"fieldSelector": f"involvedObject.name={name_of(thing)},involvedObject.kind={thing.get('kind')}"}
    try:
        listed = server.get(f"/api/v1/namespaces/{lives_in(thing)}/events", query) or {}
    except ApiError:
        return []
    items: list[Mapping[str, Any]] = [
        item
        for item in listed.get("items") or []
        if item.get("type") == "Warning"
        and (item.get("involvedObject") or {}).get("uid") in (None, thing["metadata"].get("uid"))
    ]
    items.sort(key=lambda item: str(item.get("lastTimestamp") or item.get("eventTime") or ""), reverse=True)
    return list(dict.fromkeys(f"{item.get('reason')}: {item.get('message')}" for item in items))[:2]


def _container(status: Mapping[str, Any]) -> list[str]:
    waiting = (status.get("state") or {}).get("waiting") or {}
    ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    name, found = status.get("name"), list[str]()
    reason = waiting.get("reason")
    if reason and reason not in _HARMLESS:
        found.append(f"container {name}: {reason}: {waiting.get('message', '')}".rstrip(": "))
    if ended.get("exitCode"):
        why = f" ({ended['reason']})" if ended.get("reason") not in (None, "Error") else ""
        said = f": {ended['message'].strip()[-300:]}" if ended.get("message") else ""
        found.append(f"container {name} exited with code {ended['exitCode']}{why}{said}")
    return found
