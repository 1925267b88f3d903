"""When an object counts as ready, by kind: the official provider's conditions (provider/pkg/await).

Differences on purpose: a Service does not settle for ten seconds; a quota that refuses pods ends the waiting after half
a minute; a CustomResourceDefinition is waited for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.standins.kubernetes import pods
from engine.standins.kubernetes.api import ApiServer
from engine.standins.kubernetes.objects import lives_in, name_of

_SETTLE_SECONDS = 3.0
"""How long a Service without any endpoint is watched: pods that are about to come have endpoints by then."""


@dataclass(frozen=True)
class Verdict:
    """Whether an object is ready; if not, what is awaited, what is wrong, and whether waiting on is of no use.

    `doubtful` says that it is of no use where this lasts for half a minute.
    """

    ready: bool
    awaited: str = ""
    problems: list[str] = field(default_factory=list[str])
    hopeless: bool = False
    doubtful: bool = False


READY = Verdict(True)


@dataclass(frozen=True)
class Look:
    """What a judgement may look at: the object, since how long (seconds), and the server."""

    server: ApiServer
    live: Mapping[str, Any]
    seconds: float

    @property
    def spec(self) -> Mapping[str, Any]:
        """The object's spec."""
        return self.live.get("spec") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        """The object's status."""
        return self.live.get("status") or {}

    @property
    def observed(self) -> bool:
        """Whether the controller has seen this generation of the object."""
        return self.status.get("observedGeneration", 0) >= self.live["metadata"].get("generation", 0)

    def condition(self, kind: str) -> Mapping[str, Any]:
        """One of the object's conditions; empty when it has none of this type."""
        conditions: list[Mapping[str, Any]] = self.status.get("conditions") or []
        return next((item for item in conditions if item.get("type") == kind), {})

    def find(self, path: str) -> Mapping[str, Any] | None:
        """Another object; None when there is none."""
        return self.server.get(path)


def judge(look: Look) -> Verdict:
    """Whether the object is ready; kinds that need no waiting always are."""
    group = str(look.live.get("apiVersion")).rpartition("/")[0]
    rule = _RULES.get((group, str(look.live.get("kind"))))
    return rule(look) if rule else READY


def awaited(live: Mapping[str, Any]) -> bool:
    """Whether objects of this kind are waited for at all."""
    return (str(live.get("apiVersion")).rpartition("/")[0], str(live.get("kind"))) in _RULES


def _deployment(look: Look) -> Verdict:
    wanted, status = look.spec.get("replicas", 1), look.status
    if look.spec.get("paused"):
        return READY
    if not look.observed:
        return Verdict(False, "waiting for the controller to see the change")
    progressing, refused = look.condition("Progressing"), look.condition("ReplicaFailure")
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    surplus = status.get("replicas", 0) - updated
    if updated >= wanted and available >= wanted and surplus <= 0:
        return READY
    problems = [str(refused.get("message"))] if refused.get("status") == "True" else []
    ending = bool(problems) and pods.any_ending(look.server, look.live)
    # A quota may let new pods in only when old ones have ended their jobs, which may take longer than that deadline.
    if progressing.get("reason") == "ProgressDeadlineExceeded" and not ending:
        problems.append(str(progressing.get("message")))
        return Verdict(False, "", [*problems, *_pod_problems(look)], hopeless=True)
    shown = f"{min(updated, available)} of {wanted} pods updated and available"
    doubtful = bool(problems) and not ending
    return Verdict(False, shown, [*problems, *_pod_problems(look)], doubtful=doubtful)


def _stateful_set(look: Look) -> Verdict:
    strategy = look.spec.get("updateStrategy") or {}
    wanted, status = look.spec.get("replicas", 1), look.status
    if not look.observed:
        return Verdict(False, "waiting for the controller to see the change")
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    due = 0 if strategy.get("type") == "OnDelete" else max(wanted - partition, 0)
    ready = status.get("readyReplicas", 0)
    # A set without pods has an update revision and no updated pods.
    renewed = status.get("updatedReplicas", 0) >= due or status.get("currentRevision") == status.get("updateRevision")
    if renewed and ready >= wanted:
        return READY
    return Verdict(False, f"{ready} of {wanted} pods ready", [*_refusals(look), *_pod_problems(look)])


def _daemon_set(look: Look) -> Verdict:
    wanted, status = look.status.get("desiredNumberScheduled", 0), look.status
    if not look.observed:
        return Verdict(False, "waiting for the controller to see the change")
    on_delete = (look.spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    if available >= wanted and (on_delete or updated >= wanted):
        return READY
    problems = [*_refusals(look), *_pod_problems(look)]
    return Verdict(False, f"{min(updated, available)} of {wanted} pods updated and available", problems)


def _replication_controller(look: Look) -> Verdict:
    wanted, ready = look.spec.get("replicas", 1), look.status.get("readyReplicas", 0)
    return READY if ready >= wanted else Verdict(False, f"{ready} of {wanted} pods ready", _pod_problems(look))


def _job(look: Look) -> Verdict:
    failed = look.condition("Failed")
    if failed.get("status") == "True":
        text = f"{failed.get('reason')}: {failed.get('message')}"
        return Verdict(False, "", [text, *_pod_problems(look)], hopeless=True)
    if look.condition("Complete").get("status") == "True" or look.spec.get("suspend"):
        return READY
    done, wanted = look.status.get("succeeded", 0), look.spec.get("completions") or 1
    return Verdict(False, f"{done} of {wanted} completions", [*_refusals(look), *_pod_problems(look)])


def _pod(look: Look) -> Verdict:
    phase = look.status.get("phase")
    if phase == "Succeeded" or look.condition("Ready").get("status") == "True":
        return READY
    return Verdict(False, f"the pod is {phase}", pods.problems(look.live), hopeless=phase == "Failed")


def _claim(look: Look) -> Verdict:
    if look.status.get("phase") == "Bound":
        return READY
    if look.status.get("phase") == "Lost":
        return Verdict(False, "", ["its volume is gone (phase Lost)"], hopeless=True)
    name = look.spec.get("storageClassName")
    if name:
        storage_class = look.find(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
        if storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
            return READY
        if storage_class is None and look.seconds > _SETTLE_SECONDS:
            return Verdict(False, "waiting to be bound", [f"the cluster has no StorageClass {name!r}"])
    return Verdict(False, "waiting to be bound to a volume", pods.event_problems(look.server, look.live))


def _volume(look: Look) -> Verdict:
    phase = look.status.get("phase")
    return READY if phase in ("Available", "Bound") else Verdict(False, f"the volume is {phase}")


def _service(look: Look) -> Verdict:
    spec = look.spec
    if spec.get("type") == "LoadBalancer" and not (look.status.get("loadBalancer") or {}).get("ingress"):
        return Verdict(
            False,
            "waiting for the load balancer's address",
            ["no load balancer has given it an address; does this cluster have one?"] if look.seconds > 20 else [],
        )
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return READY
    namespace, name = lives_in(look.live), name_of(look.live)
    query = {"labelSelector": f"kubernetes.io/service-name={name}"}
    slices = look.server.get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", query) or {}
    items: list[Mapping[str, Any]] = slices.get("items") or []
    states = [(endpoint.get("conditions") or {}) for item in items for endpoint in item.get("endpoints") or []]
    ready = sum(1 for state in states if state.get("ready") is not False)
    # Pods that are on their way out are no reason to wait.
    pending = sum(1 for state in states if state.get("ready") is False and not state.get("terminating"))
    if pending:
        return Verdict(False, f"{ready} of {ready + pending} selected pods ready", [])
    # As with the official provider a Service that selects nothing is in order: a pool may be scaled to zero.
    return READY if ready or (items and look.seconds >= _SETTLE_SECONDS) else Verdict(False, "waiting for endpoints")


def _ingress(look: Look) -> Verdict:
    if (look.status.get("loadBalancer") or {}).get("ingress"):
        return READY
    hint = "no controller has given it an address; does this cluster have one for its class?"
    return Verdict(False, "waiting for an address", [hint] if look.seconds > 20 else [])


def _namespace(look: Look) -> Verdict:
    phase = look.status.get("phase")
    return READY if phase == "Active" else Verdict(False, f"the namespace is {phase}")


def _definition(look: Look) -> Verdict:
    names = look.condition("NamesAccepted")
    if names.get("status") == "False":
        return Verdict(False, "", [str(names.get("message"))], hopeless=look.seconds > 5)
    established = look.condition("Established").get("status") == "True"
    return READY if established else Verdict(False, "waiting for the API server to serve it")


def _quota(look: Look) -> Verdict:
    done = look.status.get("hard") is not None and look.status["hard"].keys() == (look.spec.get("hard") or {}).keys()
    return READY if done else Verdict(False, "waiting for the quota to be counted")


def _secret(look: Look) -> Verdict:
    token = look.live.get("type") == "kubernetes.io/service-account-token"
    filled = bool((look.live.get("data") or {}).get("token"))
    return Verdict(False, "waiting for the token") if token and not filled else READY


def _refusals(look: Look) -> list[str]:
    """Why pods are not even created, from events: a StatefulSet's status does not tell."""
    return pods.event_problems(look.server, look.live) if look.seconds > _SETTLE_SECONDS else []


def _pod_problems(look: Look) -> list[str]:
    return pods.problems_below(look.server, look.live) if look.seconds > _SETTLE_SECONDS else []


_RULES: dict[tuple[str, str], Callable[[Look], Verdict]] = {
    ("", "Namespace"): _namespace,
    ("", "PersistentVolume"): _volume,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "ReplicationController"): _replication_controller,
    ("", "ResourceQuota"): _quota,
    ("", "Secret"): _secret,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("networking.k8s.io", "Ingress"): _ingress,
}
