"""What a worker knows of its pods, against an API server that answers as the test wants it to."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from fleet_runtime.sandboxd import kubernetes_backend
from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.kubernetes_api import RequestError
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.kubernetes_pod import CLAIMED_BY, Pod, claim, read_pod
from fleet_runtime.sandboxd.kubernetes_pods import PodCache
from sandbox_daemon import eventually

SPEC: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "sandbox",
            "stdin": True,
            "resources": {"limits": {"cpu": "1", "memory": "64Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
    ],
    "volumes": [{"name": "job", "emptyDir": {"medium": "Memory"}}],
}


def described(name: str = "a", version: str = "1", **changes: Any) -> dict[str, Any]:
    """A pod that may be claimed, as the API server shows it."""
    annotations = {CLAIMED_BY: changes["owner"]} if "owner" in changes else {}
    deleting = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if changes.get("deleting") else {}
    container = {"name": "sandbox", "restartCount": changes.get("restarts", 0), "state": changes.get("state", {})}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": version,
            "annotations": annotations,
            **deleting,
        },
        "spec": {**SPEC, **changes.get("spec", {})},
        "status": {
            "phase": changes.get("phase", "Running"),
            "conditions": [{"type": "Ready", "status": "True" if changes.get("ready", True) else "False"}],
            "containerStatuses": [container],
        },
    }


class Server:
    """Lists what is there, and sends what the test puts in; an exception among it is raised."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        """Hold these pods."""
        self.pods = list(pods)
        self.version = "10"
        self.lists = 0
        self.watched: list[str] = []
        self.events: asyncio.Queue[tuple[str, dict[str, Any]] | BackendError | None] = asyncio.Queue()

    async def list_pods(self) -> tuple[list[dict[str, Any]], str]:
        """Say what is there."""
        self.lists += 1
        return self.pods, self.version

    async def watch_pods(self, version: str) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        """Pass the test's events on; None ends the watch in order."""
        self.watched.append(version)
        while (event := await self.events.get()) is not None:
            if isinstance(event, BackendError):
                raise event
            yield event


class Watched:
    """A cache that runs on a server."""

    def __init__(self, server: Server) -> None:
        """Start it."""
        self.gone: list[str] = []
        # The cache asks the server for no more than these two things.
        self.cache = PodCache(server, on_change=self._changed)  # pyright: ignore[reportArgumentType]
        self._task = asyncio.create_task(self.cache.run())

    def _changed(self, pod: Pod, gone: bool) -> None:
        if gone:
            self.gone.append(pod.name)

    async def until(self, condition: Any) -> None:
        """Wait until something is so."""

        async def is_so() -> bool:
            return bool(condition())

        await eventually(is_so, 5, "the cache to follow")

    async def stop(self) -> None:
        """Stop it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_watch_that_ends_is_taken_up_where_it_was() -> None:
    """The server ends every watch after some minutes; listing all pods each time would be a load of its own."""
    server = Server(described())
    watched = Watched(server)
    await server.events.put(("MODIFIED", described(version="11", owner="other")))
    await server.events.put(("BOOKMARK", {"metadata": {"resourceVersion": "15"}}))
    await server.events.put(None)
    await watched.until(lambda: server.watched == ["10", "15"])
    assert server.lists == 1
    assert watched.cache.pods["a"].owner == "other"
    await watched.stop()


async def test_a_version_that_the_server_has_forgotten_leads_to_a_new_list() -> None:
    """410 Gone is no fault: what happened in between is in the list."""
    server = Server(described("a"), described("b"))
    watched = Watched(server)
    await watched.until(lambda: len(watched.cache.pods) == 2)
    server.pods = [described("b", version="20"), described("c", version="21")]
    await server.events.put(RequestError(410, "too old resource version"))
    await watched.until(lambda: set(watched.cache.pods) == {"b", "c"})
    assert watched.gone == ["a"]
    assert watched.cache.problem is None
    await watched.stop()


async def test_a_watch_that_breaks_is_a_problem_until_the_pods_are_listed_again() -> None:
    """A worker that does not know its pods must not say that it can run jobs."""
    server = Server(described())
    watched = Watched(server)
    await watched.until(lambda: watched.cache.problem is None)
    await server.events.put(BackendError("the server does not answer"))
    await watched.until(lambda: watched.cache.problem == "the server does not answer")
    await watched.until(lambda: watched.cache.problem is None)
    assert server.lists == 2
    await watched.stop()


async def test_a_pod_that_somebody_else_was_first_to_claim_is_not_tried_again_before_that_is_seen() -> None:
    """Each refused claim costs the server a request; the same one would be refused for ever."""
    server = Server(described())
    watched = Watched(server)
    await watched.until(lambda: watched.cache.pods)
    pod = watched.cache.reserve()
    assert pod is not None
    assert watched.cache.reserve() is None
    watched.cache.lost(pod)
    assert watched.cache.reserve() is None
    # It was the kubelet that changed it, not another worker.
    await server.events.put(("MODIFIED", described(version="11")))
    await watched.until(lambda: watched.cache.pods["a"].version == "11")
    again = watched.cache.reserve()
    assert again is not None
    assert again.version == "11"
    await watched.stop()


class Deaf(Server):
    """Lists its pods and answers no claim but by this error."""

    def __init__(self, error: BackendError) -> None:
        """Have one pod."""
        super().__init__(described())
        self.error = error
        self.claims = 0
        self.deleted: list[str] = []

    async def patch_pod(self, _name: str, _patch: Any) -> None:
        """Refuse."""
        self.claims += 1
        raise self.error

    async def delete_pod(self, name: str, _uid: str | None) -> None:
        """Write down what would be deleted."""
        self.deleted.append(name)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    "error", [BackendError("no answer"), RequestError(503, "etcd is away"), RequestError(403, "not yet")], ids=str
)
async def test_a_pod_whose_claim_was_not_answered_is_neither_deleted_nor_given_up(
    error: BackendError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may run a job in it by then; and one that was never claimed is all that this worker has."""
    server = Deaf(error)
    monkeypatch.setattr(kubernetes_backend, "KubernetesApi", lambda _settings: server)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    template = SandboxTemplate(image="sandbox", memory_bytes=1 << 27, scratch_bytes=1 << 20, start_timeout_seconds=5)
    settings = KubernetesSettings(
        kubernetes_service_host="192.0.2.1",
        sandbox_namespace="sandboxes",
        sandbox_selector="role=sandbox",
        sandbox_templates={"default": template},
    )

    async def alive(_: Any) -> frozenset[str]:
        return frozenset()

    backend = kubernetes_backend.KubernetesBackend(settings, "me", alive)
    await backend.check({"default": template})
    for attempt in (1, 2):
        with pytest.raises(BackendError):
            await backend.start(f"job-{attempt}", "default", template)
        await backend.remove(f"job-{attempt}")
        assert server.claims == attempt
    assert server.deleted == []
    backend.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": "other"},
        {"deleting": True},
        {"restarts": 1},
        {"ready": False},
        {"phase": "Failed"},
        {"state": {"terminated": {"reason": "Error"}}},
        {"spec": {"hostNetwork": True}},
        {"spec": {"automountServiceAccountToken": True}},
        {"spec": {"initContainers": [{"name": "side-car"}]}},
        {"spec": {"containers": [*SPEC["containers"], {"name": "side-car"}]}},
        {"spec": {"securityContext": {"runAsNonRoot": True}}},
        {"spec": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}},
        {"spec": {"containers": [{**SPEC["containers"][0], "resources": {"limits": {"cpu": "1"}}}]}},
    ],
    ids=str,
)
def test_a_pod_that_is_not_fresh_and_whole_is_never_free(changes: dict[str, Any]) -> None:
    """A used sandbox mixes two tenants; a weak one has what no stranger may have."""
    assert read_pod(described()).free
    assert not read_pod(described(**changes)).free


def test_a_claimed_pod_is_the_last_that_a_smaller_deployment_or_a_new_node_costs() -> None:
    """Karpenter waits for pods that say so before it replaces a node for its age; without a word it takes the job."""
    annotations = claim("1", "me", datetime.now(UTC))["metadata"]["annotations"]
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert int(annotations["controller.kubernetes.io/pod-deletion-cost"]) > 0
