"""What a worker makes of claims that go wrong, against an API server that answers as the test wants it to."""

import asyncio
import json
from collections.abc import AsyncGenerator, Collection
from datetime import UTC, datetime
from typing import Any

import pytest
from fleet_runtime.sandboxd import agent_sandbox_backend
from fleet_runtime.sandboxd.agent_sandbox_api import AgentSandboxApi
from fleet_runtime.sandboxd.agent_sandbox_backend import AgentSandboxBackend
from fleet_runtime.sandboxd.agent_sandbox_claim import describe_claim, read_claim
from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.kubernetes_api import RequestError
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.kubernetes_pods import PodCache

Object = dict[str, Any]
TEMPLATE = SandboxTemplate(
    image="i", memory_bytes=1 << 27, scratch_bytes=1 << 20, warm=0, maximum=1, start_timeout_seconds=1
)
SPEC: Object = {
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
}


def owned(by: str) -> list[Object]:
    """The references of an object that this one controls."""
    return [{"kind": "Sandbox", "uid": by, "controller": True}]


def pod(**changes: Any) -> Object:
    """The pod of the Sandbox `warm`, ready."""
    status = {"name": "sandbox", "restartCount": changes.get("restarts", 0), "state": {}}
    return {
        "metadata": {
            "name": "warm",
            "uid": "pod-1",
            "resourceVersion": "1",
            "ownerReferences": owned(changes.get("controller", "sandbox-1")),
        },
        "spec": {**SPEC, **changes.get("spec", {})},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [status],
        },
    }


def ready(status: str, reason: str, message: str = "") -> Object:
    """A status with the condition Ready."""
    return {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message}]}


class Server:
    """Answers for claims, Sandboxes and pods; each claim gets `status` when it is made. Nothing can be attached to."""

    def __init__(self, *, status: Object, pods: Collection[Object] = (), controlled_by: str = "claim-1") -> None:
        """Hold these pods, and one Sandbox with this controller."""
        self.status = status
        self.pods = list(pods)
        self.controlled_by = controlled_by
        self.claims: dict[str, Object] = {}
        self.attached: list[str] = []
        self.events: asyncio.Queue[Object] = asyncio.Queue()
        self.address = "server"

    async def list_pods(self) -> tuple[list[Object], str]:
        """Say what is there."""
        return self.pods, "1"

    async def watch_pods(self, _version: str) -> AsyncGenerator[tuple[str, Object]]:
        """Nothing happens to pods."""
        await asyncio.Event().wait()
        yield "", {}

    async def list_objects(self, _path: str) -> tuple[list[Object], str]:
        """Say which claims there are."""
        return list(self.claims.values()), "1"

    async def watch_objects(self, _path: str, _version: str) -> AsyncGenerator[tuple[str, Object]]:
        """Tell of claims as they are answered."""
        while True:
            yield "MODIFIED", await self.events.get()

    async def request(self, method: str, path: str, *, content: bytes | None = None, **_: Any) -> Object:
        """Make a claim, or show or delete something."""
        name = path.rpartition("/")[2]
        if method == "POST":
            given = json.loads(content or b"")
            name = given["metadata"]["name"]
            if name in self.claims:
                raise RequestError(409, "already exists")
            metadata = {**given["metadata"], "uid": "claim-1", "resourceVersion": "2"}
            self.claims[name] = {**given, "metadata": metadata, "status": self.status}
            await self.events.put(self.claims[name])
            return {**given, "metadata": metadata}
        if method == "DELETE":
            self.claims.pop(name, None)
            return {}
        if "/sandboxclaims/" in path:
            return self.claims[name]
        return {"metadata": {"name": name, "uid": "sandbox-1", "ownerReferences": owned(self.controlled_by)}}

    async def attach(self, name: str) -> None:
        """Write down what would be attached to."""
        self.attached.append(name)
        raise BackendError("attached")

    def close(self) -> None:
        """Nothing is open."""


def backend_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> AgentSandboxBackend:
    """A worker's backend that asks this server."""
    monkeypatch.setattr(agent_sandbox_backend, "KubernetesApi", lambda _settings: server)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    settings = KubernetesSettings(
        kubernetes_service_host="server",
        sandbox_namespace="sandboxes",
        sandbox_selector="agent-fleet.role=sandbox",
        sandbox_templates={"default": TEMPLATE},
    )

    async def alive(workers: Collection[str]) -> frozenset[str]:
        return frozenset(workers)

    return AgentSandboxBackend(settings, "testing", "worker-1", alive)


async def started(server: Server, monkeypatch: pytest.MonkeyPatch) -> BackendError:
    """Why a sandbox could not be started; it always ends by an error, at the latest on attaching."""
    backend = backend_on(server, monkeypatch)
    try:
        await backend.check({"default": TEMPLATE})
        with pytest.raises(BackendError) as refusal:
            await backend.start("fleet-sandbox-1", "default", TEMPLATE)
        return refusal.value
    finally:
        backend.close()


BOUND: Object = {"sandbox": {"name": "warm"}, **ready("True", "DependenciesReady")}


async def test_a_bound_claim_with_a_ready_pod_is_attached_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the others are refused for must not be refused here too."""
    server = Server(status=BOUND, pods=[pod()])
    assert str(await started(server, monkeypatch)) == "attached"
    assert server.attached == ["warm"]


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (Server(status=BOUND, pods=[pod()], controlled_by="claim-2"), "is not controlled by it"),
        (Server(status=BOUND, pods=[pod(restarts=1)]), "has run before"),
        (Server(status=BOUND, pods=[pod(spec={"hostNetwork": True})]), "not share the node's network"),
        (Server(status=BOUND, pods=[pod(controller="sandbox-2")]), "no sandbox waits that is free"),
    ],
    ids=["another's sandbox", "a restarted container", "a weak posture", "another sandbox's pod"],
)
async def test_a_sandbox_that_may_be_anothers_or_was_used_is_never_attached_to(
    server: Server, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the controller says, two jobs must not meet in one sandbox."""
    assert reason in str(await started(server, monkeypatch))
    assert not server.attached


@pytest.mark.parametrize(
    ("status", "text", "lasting", "shortage"),
    [
        (ready("False", "WarmPoolNotFound", 'SandboxWarmPool "testing" not found'), "WarmPoolNotFound", True, False),
        (ready("False", "InvalidMetadata", "a label"), "InvalidMetadata", True, False),
        (ready("False", "ReconcilerError", "pods is forbidden: exceeded quota: pods"), "exceeded quota", False, True),
        (ready("False", "ReconcilerError", "violates PodSecurity"), "violates PodSecurity", False, False),
        (ready("False", "DependenciesNotReady", "Pod exists with phase: Pending"), "Pending", False, True),
        ({}, "does agent-sandbox's controller run", False, False),
    ],
    ids=["no pool", "refused", "no room", "a fault", "a cold start", "no controller"],
)
async def test_why_a_claim_waits_decides_what_becomes_of_the_job(
    status: Object, text: str, lasting: bool, shortage: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shortage hands the job back; a fault counts as one; what somebody must change is not tried for ever."""
    error = await started(Server(status=status), monkeypatch)
    assert text in str(error)
    assert (error.lasting, error.shortage) == (lasting, shortage)


async def test_a_claim_whose_creation_was_not_answered_is_found_again() -> None:
    """The request is repeated, and the server says that there is one: the worker's own, or somebody else's."""
    server = Server(status={})
    api = AgentSandboxApi(server, "sandboxes")  # pyright: ignore[reportArgumentType] - it asks no more than this
    now = datetime.now(UTC)
    mine = describe_claim("one", "testing", "a=b", "worker-1", now)
    made = await api.create_claim(mine)
    assert await api.create_claim(mine) == read_claim(server.claims["one"])
    assert made.owner == "worker-1"
    with pytest.raises(RequestError, match="already exists"):
        await api.create_claim(describe_claim("one", "testing", "a=b", "worker-2", now))


async def test_a_cluster_without_agent_sandbox_is_named_with_the_setting() -> None:
    """404 alone does not say what is missing, nor where to change it."""

    class Without(Server):
        async def list_objects(self, _path: str) -> tuple[list[Object], str]:
            raise RequestError(404, "the server could not find the requested resource")

    api = AgentSandboxApi(Without(status={}), "sandboxes")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BackendError, match=r"fleet\.platform\.agent_sandbox to off"):
        await api.list_claims()


async def test_only_claims_that_nobody_holds_are_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """To delete a living worker's claim ends its job."""
    server = Server(status={})
    for name, owner in {"known": "worker-1", "lost": "worker-1", "others": "other-1"}.items():
        given = describe_claim(name, "testing", "a=b", owner, datetime.now(UTC))
        server.claims[name] = {**given, "metadata": {**given["metadata"], "uid": name}}
    backend = backend_on(server, monkeypatch)
    await backend.check({"default": TEMPLATE})
    assert await backend.left_over({"known"}) == ["lost"]
    backend.close()


@pytest.mark.parametrize("of_sandboxes", [True, False])
async def test_each_way_of_keeping_sandboxes_sees_its_own_pods_only(of_sandboxes: bool) -> None:
    """While a pool passes from the one to the other, a pod that both claim would run two jobs."""
    theirs = pod()
    theirs["metadata"] |= {"name": "replica", "ownerReferences": [{**owned("set-1")[0], "kind": "ReplicaSet"}]}
    server = Server(status={}, pods=[pod(), theirs])
    cache = PodCache(server, on_change=lambda _pod, _gone: None, of_sandboxes=of_sandboxes)  # pyright: ignore[reportArgumentType]
    running = asyncio.create_task(cache.run())
    async with asyncio.timeout(5):
        while cache.problem is not None:
            await cache.change()
    running.cancel()
    assert set(cache.pods) == {"warm" if of_sandboxes else "replica"}
