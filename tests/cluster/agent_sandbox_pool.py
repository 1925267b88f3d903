"""A warm pool of agent-sandbox on a real node, as the component declares it, with the stand-in of its controller."""

import contextlib
import fcntl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from agent_fleet import SandboxPool
from agent_sandbox_standin import Controller
from declared_manifests import declared
from sandbox_pods import MEMORY_MEBIBYTES, SCRATCH_MEBIBYTES, Cluster, PodPool, until

from engine.paths import Paths

DEFINITIONS = Path(__file__).parent / "agent_sandbox_definitions.yaml"
_POOL = "testing"
_WORKER = "worker"


@dataclass
class AgentSandboxPool(PodPool):
    """A namespace with one SandboxWarmPool; `replicas` is how many of its sandboxes wait."""

    replicas: int = 2
    pods_at_most: int | None = None
    """The namespace's quota."""
    controller: Controller = field(init=False)

    def __post_init__(self) -> None:
        """Have a controller, which `create` starts."""
        self.controller = Controller(self.cluster, self.namespace)

    def create(self) -> None:
        """Start the controller, apply everything, and wait until the sandboxes are ready and what is left over goes."""
        self.controller.start()
        super().create()
        _collected(self)

    def delete(self) -> None:
        """Stop the controller and remove the namespace."""
        self.controller.stop()
        super().delete()

    def claimed(self) -> dict[str, str]:
        """The worker that made each claim."""
        claims = self.cluster.get("sandboxclaims", "-n", self.namespace)["items"]
        return {one["metadata"]["name"]: one["metadata"]["annotations"]["agent-fleet.claimed-by"] for one in claims}

    def give_up(self, name: str) -> None:
        """Delete a claim, and do not wait."""
        self.cluster("delete", "sandboxclaim", "-n", self.namespace, name, "--wait=false", check=False)

    def at_rest(self, seconds: float = 120) -> None:
        """Wait until no claim is left, nor what one held, and all that shall wait is there."""
        until(lambda: not self.claimed() and len(self.sandboxes()) == self.replicas, seconds, "what was claimed to go")
        self.ready(seconds)

    def tear_away(self, name: str) -> None:
        """The same: there is no harsher way."""
        self.give_up(name)

    def sandbox_of(self, claim: str) -> str:
        """The Sandbox that a claim is bound to, which has its pod's name."""
        return self.cluster.get("sandboxclaim", "-n", self.namespace, claim)["status"]["sandbox"]["name"]

    def bound(self) -> set[str]:
        """The Sandboxes of all claims that have one, by one look."""
        claims = self.cluster.get("sandboxclaims", "-n", self.namespace)["items"]
        return {one["status"]["sandbox"]["name"] for one in claims if one.get("status", {}).get("sandbox")}

    def sandboxes(self) -> set[str]:
        """Every Sandbox that there is."""
        found = self.cluster.get("sandboxes.agents.x-k8s.io", "-n", self.namespace)["items"]
        return {one["metadata"]["name"] for one in found}

    def environment(self, folder: Path, **template: Any) -> dict[str, str]:
        """What a worker is told of this pool."""
        return {**super().environment(folder, **template), "FLEET_AGENT_SANDBOX": _POOL}

    def _objects(self) -> list[Mapping[str, Any]]:
        within = {"namespace": self.namespace}
        found: list[Mapping[str, Any]] = [
            *(one for one in super()._objects() if one["kind"] in ("Namespace", "ServiceAccount")),
            *declared(self._declare),
        ]
        if self.pods_at_most is not None:
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "ResourceQuota",
                    "metadata": {"name": "pods", **within},
                    "spec": {"hard": {"pods": str(self.pods_at_most)}},
                }
            )
        return found

    def _declare(self) -> Any:
        return SandboxPool(
            f"{self.namespace}-sandboxes",
            {
                "fleet": "test",
                "team": "alpha",
                "pool": _POOL,
                "namespace": self.namespace,
                "image": self.image,
                "agent_sandbox": True,
                # A quarter of them waits.
                "replicas": self.replicas * 4,
                "memory_mebibytes": MEMORY_MEBIBYTES,
                "cpus": 1.0,
                "reserved_cpus": 0.01,
                "scratch_mebibytes": SCRATCH_MEBIBYTES,
                "grace_seconds": self.grace_seconds,
                "pull_policy": self.pull_policy,
                "worker_namespace": self.namespace,
                "worker_service_account": _WORKER,
            },
        ).selector


@contextmanager
def served_kinds(cluster: Cluster) -> Generator[None]:
    """Have the cluster serve agent-sandbox's kinds, until nobody of this checkout's tests needs them any more."""
    path = Paths().lock("agent-sandbox-kinds")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        names = _install(cluster)
        yield
        # Others that use them hold it too; the last one takes them away.
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cluster("delete", "--timeout=60s", "--ignore-not-found", *(f"crd/{name}" for name in names), check=False)


def _install(cluster: Cluster) -> list[str]:
    given = yaml.safe_load(DEFINITIONS.read_text(encoding="utf-8"))
    cluster("apply", "--server-side", "--force-conflicts", "-f", "-", given=given)
    names = [one["metadata"]["name"] for one in given["items"]]
    until(lambda: all(_established(cluster, name) for name in names), 60, "the server to serve them")
    return names


def _established(cluster: Cluster, name: str) -> bool:
    conditions = cluster.get("crd", name).get("status", {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _collected(pool: AgentSandboxPool) -> None:
    """Wait until the cluster's garbage collector knows the kinds, which it asks for every half minute."""
    owner = {"apiVersion": "extensions.agents.x-k8s.io/v1beta1", "kind": "SandboxClaim"}
    given = {**owner, "metadata": {"name": "probe"}, "spec": {"warmPoolRef": {"name": "none"}}}
    pool.cluster("create", "-n", pool.namespace, "-f", "-", given=given)
    claim = pool.cluster.get("sandboxclaim", "-n", pool.namespace, "probe")
    reference = {**owner, "name": "probe", "uid": claim["metadata"]["uid"]}
    kept = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "probe", "ownerReferences": [reference]},
    }
    pool.cluster("create", "-n", pool.namespace, "-f", "-", given=kept)
    pool.cluster("delete", "sandboxclaim", "-n", pool.namespace, "probe")

    def gone() -> bool:
        found = pool.cluster("get", "configmap", "-n", pool.namespace, "probe", "--ignore-not-found", "-o", "name")
        return not found.strip()

    until(gone, 120, "the garbage collector to know agent-sandbox's kinds")
