"""The objects in a cluster that carry a fleet's label: what the state knows of them, and how the others go."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.errors import UserFacingError
from engine.report import Report
from engine.stack_state import StackState
from engine.targets.cluster_client import ApiError, ClusterClient, wait

FLEET_LABEL = "agent-fleet.fleet"
ROLE_LABEL = "agent-fleet.role"
TEAM_LABEL = "agent-fleet.team"
POOL_LABEL = "agent-fleet.pool"
CLAIMED_BY = "agent-fleet.claimed-by"
_REMOVAL_SECONDS = 300.0
# The cluster makes these itself, with the labels of what they belong to.
_DERIVED = frozenset({"endpoints", "endpointslices", "events", "leases", "controllerrevisions", "replicasets"})
_SERVING, _DATABASE, _NAMESPACED, _CLUSTER_WIDE, _NAMESPACES = range(5)
_WORKLOADS = ("deployments", "statefulsets", "daemonsets", "scaledobjects", "pods", "jobs", "cronjobs")


@dataclass(frozen=True)
class Kind:
    """A resource of the API: its group ("" for the core), version, plural and kind."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of one object, of one namespace's, or of all."""
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{base}{scope}/{self.plural}{f'/{name}' if name else ''}"


@dataclass(frozen=True)
class ClusterObject:
    """One object, as listed."""

    kind: Kind
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.content["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; empty for what has none."""
        return str(self.content["metadata"].get("namespace", ""))

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.content["metadata"].get("labels") or {}

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What one object has alone: group, kind, namespace, name."""
        return self.kind.group, self.kind.kind, self.namespace, self.name

    @property
    def leaving(self) -> bool:
        """Whether it is being deleted already."""
        return "deletionTimestamp" in self.content["metadata"]

    def __str__(self) -> str:
        """As people name it: `Deployment agent-fleet-x-alpha/testing`."""
        return f"{self.kind.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


def known(state: StackState) -> set[tuple[str, str, str, str]]:
    """The identities of the Kubernetes objects in the state."""
    found: set[tuple[str, str, str, str]] = set()
    for resource in state.resources():
        package, _, rest = str(resource["type"]).partition(":")
        if package != "kubernetes" or not resource.get("id"):
            continue
        version, _, kind = rest.partition(":")
        group = version.rpartition("/")[0]
        namespace, _, name = str(resource["id"]).rpartition("/")
        found.add(("" if group == "core" else group, kind, namespace, name))
    return found


class FleetObjects:
    """One fleet's objects in one cluster."""

    def __init__(self, client: ClusterClient, fleet: str) -> None:
        """`fleet` is the label's value."""
        self._client = client
        self._fleet = fleet
        self._kinds: list[Kind] = []

    def kinds(self) -> list[Kind]:
        """Every kind that can be listed and deleted here; asked once."""
        if not self._kinds:
            for group in self._client.discover():
                for resource in group["versions"][0].get("resources", []):
                    if {"list", "delete"} <= set(resource["verbs"]) and resource["resource"] not in _DERIVED:
                        self._kinds.append(
                            Kind(
                                str(group["metadata"].get("name") or ""),
                                group["versions"][0]["version"],
                                resource["resource"],
                                resource["responseKind"]["kind"],
                                resource["scope"] == "Namespaced",
                            )
                        )
        return self._kinds

    def labelled(self) -> list[ClusterObject]:
        """All objects with the fleet's label that nothing else in the cluster owns."""
        kinds = {kind.path(): kind for kind in self.kinds()}
        answers = self._client.get_all(kinds, labelSelector=f"{FLEET_LABEL}={self._fleet}")
        return [
            ClusterObject(kinds[path], item)
            for path, answer in answers.items()
            for item in answer.get("items") or ()
            if not item["metadata"].get("ownerReferences")
        ]

    def namespaces(self) -> list[str]:
        """The names of the fleet's namespaces."""
        answer = self._client.get("/api/v1/namespaces", labelSelector=f"{FLEET_LABEL}={self._fleet}")
        return sorted(item["metadata"]["name"] for item in answer["items"])

    def deployed(self) -> list[str]:
        """The fleet's Deployments and StatefulSets that stay; also those without a ready pod, as after a reboot."""
        paths = ("/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets")
        answers = self._client.get_all(paths, labelSelector=f"{FLEET_LABEL}={self._fleet}")
        return sorted(
            f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            for answer in answers.values()
            for item in answer["items"]
            if "deletionTimestamp" not in item["metadata"]
        )

    def remove(self, objects: Iterable[ClusterObject]) -> int:
        """Delete what is given, workloads before namespaces, and wait until all is gone; return how many there were."""
        every = list(objects)
        for _, group in itertools.groupby(sorted(every, key=_rank), key=_rank):
            self._remove_group(list(group))
        return len(every)

    def _remove_group(self, left: list[ClusterObject]) -> None:
        drain = max(map(_grace_seconds, left))
        for item in left:
            if not item.leaving:
                self._client.delete(item.kind.path(item.namespace, item.name), wait=_rank(item) <= _SERVING)

        def gone() -> bool:
            left[:] = [item for item in left if self._exists(item)]
            return not left

        if not wait(gone, drain + _REMOVAL_SECONDS):
            stuck = "; ".join(f"{item}{_why_stuck(item)}" for item in left[:5])
            raise UserFacingError(
                f"After {drain + _REMOVAL_SECONDS:.0f} s the cluster has still not removed: {stuck}.",
                "`kubectl describe` says what holds them. Run the command again after that.",
            )

    def _exists(self, item: ClusterObject) -> bool:
        try:
            content = self._client.get(item.kind.path(item.namespace, item.name))
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        item.content.update(content)
        return True


def _rank(item: ClusterObject) -> int:
    """The order of removal: pools finish their jobs while the database still takes the results."""
    plural = item.kind.plural
    if plural in _WORKLOADS:
        return _DATABASE if item.labels.get(ROLE_LABEL) == "database" else _SERVING
    return _NAMESPACES if plural == "namespaces" else _NAMESPACED if item.kind.namespaced else _CLUSTER_WIDE


def _grace_seconds(item: ClusterObject) -> float:
    """How long the pods of a workload may take to end."""
    template = item.content.get("spec", {}).get("template", {})
    return float(template.get("spec", {}).get("terminationGracePeriodSeconds") or 0)


def _why_stuck(item: ClusterObject) -> str:
    conditions = item.content.get("status", {}).get("conditions") or ()
    told = [str(each.get("message")) for each in conditions if each.get("status") == "True" and each.get("message")]
    finalizers = item.content["metadata"].get("finalizers") or item.content.get("spec", {}).get("finalizers")
    words = told or ([f"finalizers {', '.join(finalizers)}"] if finalizers else [])
    return f" ({'; '.join(words)})" if words else ""


def remove_orphans(objects: FleetObjects, state: StackState, report: Report) -> None:
    """Remove the fleet's objects that its state does not know, and wait until they are gone.

    A database's claim is kept, and the namespace that it is in: it may hold accepted jobs. Pods that something owns are
    no orphans; what a namespace of the state holds and the state does not know goes by itself.
    """
    identities = known(state)
    unknown = [item for item in objects.labelled() if item.identity not in identities]
    claims = [item for item in unknown if _holds_jobs(item)]
    kept = {claim.namespace for claim in claims}
    served = {namespace for _, kind, namespace, _ in identities if kind == "StatefulSet"}
    for claim in claims:
        if claim.namespace not in served:
            report(f"The {claim} is there already: the database goes on with what it holds.")
    orphans = [
        item for item in unknown if item not in claims and not (item.kind.plural == "namespaces" and item.name in kept)
    ]
    for item in orphans:
        report(f"Removing the {item}, which an interrupted run left.")
    objects.remove(orphans)


def _holds_jobs(item: ClusterObject) -> bool:
    return item.kind.plural == "persistentvolumeclaims" and item.labels.get(ROLE_LABEL) == "database"
