"""Sandboxes as pods of agent-sandbox: each is claimed by a SandboxClaim, attached ahead of need, used once, deleted."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime

from fleet_runtime.sandboxd.agent_sandbox_api import AgentSandboxApi, BoundSandbox
from fleet_runtime.sandboxd.agent_sandbox_claim import Claim, describe_claim, read_claim
from fleet_runtime.sandboxd.backend import BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.kubernetes_api import KubernetesApi
from fleet_runtime.sandboxd.kubernetes_attachment import PodAttachment
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.kubernetes_owners import Owners
from fleet_runtime.sandboxd.kubernetes_pod import Pod
from fleet_runtime.sandboxd.kubernetes_pods import PodCache
from fleet_runtime.sandboxd.kubernetes_watch import WatchedObjects
from fleet_runtime.sandboxd.workspace import Workspace

_CLAIM_SHARE = 0.8
"""Of the time that a start may take, so much is waited for a ready pod; the rest is for attaching to it."""
_SYNC_SECONDS = 5.0


class AgentSandboxBackend:
    """Claims the sandboxes of one SandboxWarmPool for one worker. All methods belong to one event loop.

    A claim has the name of its sandbox. The controller binds it to a waiting Sandbox, or makes one where none waits;
    that Sandbox and its pod are deleted with the claim. Another claim never gets them.
    """

    shared = True

    def __init__(
        self,
        settings: KubernetesSettings,
        warm_pool: str,
        worker_id: str,
        alive: Callable[[Collection[str]], Awaitable[frozenset[str] | None]],
    ) -> None:
        """Nothing is asked yet. `alive` says which of some workers live, None where that is not known just now."""
        self._settings = settings
        self._warm_pool = warm_pool
        self._worker_id = worker_id
        self._api = KubernetesApi(settings)
        self._claims_api = AgentSandboxApi(self._api, settings.sandbox_namespace)
        self._pods = PodCache(self._api, on_change=self._pod_changed, of_sandboxes=True)
        self._claims = WatchedObjects[Claim](
            "claim",
            listing=self._claims_api.list_claims,
            watching=self._claims_api.watch_claims,
            read=read_claim,
            on_change=self._claim_changed,
        )
        self._owners = Owners(worker_id, alive)
        self._watching: list[asyncio.Task[None]] = []
        self._starting: set[str] = set()
        self._held: dict[str, Pod] = {}
        self._attachments: dict[str, PodAttachment] = {}
        self._changed = asyncio.Event()

    @property
    def address(self) -> str:
        """The API server's address, `host:port`."""
        return self._api.address

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """Look at the claims and the pods: whether they are known, and whether any pod can be used."""
        if not self._watching:
            self._watching = [asyncio.create_task(cache.run()) for cache in (self._claims, self._pods)]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SYNC_SECONDS):
                    for cache in (self._claims, self._pods):
                        while cache.problem is not None:
                            await cache.change()
        problem = self._claims.problem or self._pods.problem
        if problem is not None:
            raise BackendError(problem)
        unusable = self._unusable()
        return dict.fromkeys(templates, unusable) if unusable else {}

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Claim a sandbox, wait for its pod, attach, and have its runner say that it is ready."""
        del template_name, workspace
        deadline = time.monotonic() + template.start_timeout_seconds * _CLAIM_SHARE
        described = describe_claim(
            name, self._warm_pool, self._settings.sandbox_selector, self._worker_id, datetime.now(UTC)
        )
        self._starting.add(name)
        try:
            claim = await self._claims_api.create_claim(described)
            sandbox = await self._bound(claim, deadline)
            pod = await self._ready(name, sandbox, deadline)
        finally:
            self._starting.discard(name)
        attachment = PodAttachment(name, await self._api.attach(pod.name))
        self._held[name], self._attachments[name] = pod, attachment
        try:
            await attachment.greet()
            # Whoever answered was of that name: another pod may have got it, or another container come up in it.
            now = self._pods.pods.get(pod.name)
            if now is None or now.uid != pod.uid or now.used or now.deleting:
                raise BackendError(f"pod {pod.name} was replaced or restarted while it was attached to")
        except BaseException:
            attachment.abort()
            raise
        return attachment

    def shortage(self) -> str | None:
        """Say what a start waits for that waits for room alone; None where none does, or nothing is known."""
        if self._claims.problem is not None or self._pods.problem is not None:
            return None
        waiting = (self._delay(name) for name in self._starting)
        return next((text for text, short in waiting if short), None)

    async def remove(self, name: str) -> None:
        """Delete the claim of this name, and so its sandbox."""
        attachment = self._attachments.pop(name, None)
        if attachment is not None:
            # The end of its input ends the runner: what remains to be deleted has no program in it any more.
            attachment.abort()
        await self._claims_api.delete_claim(name)
        self._held.pop(name, None)
        claim = self._claims.objects.get(name)
        if claim is not None:
            self._claims.forget(claim)

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Return the claims that nobody alive holds."""
        claims = [claim for claim in self._claims.objects.values() if not claim.deleting]
        mine = [claim for claim in claims if claim.owner == self._worker_id and claim.name not in known]
        return [claim.name for claim in (*mine, *await self._owners.abandoned(claims))]

    async def ran_out_of_memory(self, name: str) -> bool:
        """Wait a moment for the kubelet to say what its container died of."""
        held = self._held.get(name)
        return held is not None and await self._pods.ran_out_of_memory(held)

    def close(self) -> None:
        """Give up the watches and the connections."""
        for task in self._watching:
            task.cancel()
        self._api.close()

    async def _bound(self, created: Claim, deadline: float) -> BoundSandbox:
        """Wait until the controller has bound a claim, and return the Sandbox that is its alone."""
        seen = False
        while True:
            claim = self._claims.objects.get(created.name)
            if claim is None or claim.uid != created.uid:
                if seen:
                    raise BackendError(f"claim {created.name} was deleted before it was bound")
                claim = created
            seen = seen or claim is not created
            if claim.misconfigured:
                raise BackendError(f"claim {claim.name} cannot be bound: {claim.waits}", lasting=True)
            if claim.sandbox is not None:
                break
            await self._wait(claim.name, deadline)
        sandbox = await self._claims_api.get_sandbox(claim.sandbox)
        if sandbox.claim_uid != created.uid:
            raise BackendError(f"claim {claim.name} names sandbox {claim.sandbox}, which is not controlled by it")
        return sandbox

    async def _ready(self, name: str, sandbox: BoundSandbox, deadline: float) -> Pod:
        """Wait until a Sandbox's pod is ready, and return it if it may be trusted with a stranger's code."""
        while True:
            pod = self._pods.pods.get(sandbox.pod_name)
            if pod is not None and pod.controller == sandbox.uid:
                self._held[name] = pod
                if pod.weakness is not None:
                    raise BackendError(f"pod {pod.name} is not fit for a stranger's code: {pod.weakness}", lasting=True)
                if pod.used or pod.deleting:
                    raise BackendError(f"pod {pod.name} has run before or is being deleted")
                if pod.ready:
                    return pod
            await self._wait(name, deadline)

    async def _wait(self, name: str, deadline: float) -> None:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._change()
        except TimeoutError:
            text, short = self._delay(name)
            raise BackendError(text, shortage=short) from None

    def _delay(self, name: str) -> tuple[str, bool]:
        """Say why a claim has no ready pod yet, and whether that is only because all there are is in use."""
        claim, pod = self._claims.objects.get(name), self._held.get(name)
        pod = self._pods.pods.get(pod.name, pod) if pod is not None else None
        if claim is None or (claim.sandbox is None and claim.waits is None):
            return f"nobody has answered claim {name}: does agent-sandbox's controller run, with extensions?", False
        if claim.fault:
            return f"claim {name} has no sandbox: {claim.waits}", False
        if pod is not None and pod.stuck is not None and not pod.unschedulable:
            return f"pod {pod.name} does not start: {pod.stuck}", False
        why = pod.stuck if pod is not None and pod.stuck is not None else claim.waits
        return f"{self._stock()}; claim {name} waits: {why or 'its pod starts'}", True

    def _stock(self) -> str:
        claims = self._claims.objects.values()
        mine = sum(claim.owner == self._worker_id for claim in claims)
        return (
            f"no sandbox waits that is free: {len(claims)} are claimed ({mine} by this worker) and pool "
            f"{self._warm_pool} has {len(self._pods.pods)} pods in all; more sandboxes, or a larger quota, would help"
        )

    def _unusable(self) -> str | None:
        """Return why no pod can be used, and none will be before somebody changes something."""
        pods = list(self._pods.pods.values())
        if any(pod.free or pod.owner is not None for pod in pods):
            return None
        weak = next((pod for pod in pods if pod.weakness), None)
        if weak is not None:
            return f"pod {weak.name} is not fit for a stranger's code: {weak.weakness}"
        stuck = next((pod for pod in pods if pod.stuck), None)
        return f"pod {stuck.name} does not start: {stuck.stuck}" if stuck is not None else None

    async def _change(self) -> None:
        changed = self._changed
        await changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _claim_changed(self, claim: Claim, gone: bool) -> None:
        attachment = self._attachments.get(claim.name)
        if attachment is not None and (gone or claim.deleting):
            # Its pod is given the grace of the longest job: one that runs may end, but none begins.
            attachment.retire()
        self._tell()

    def _pod_changed(self, pod: Pod, gone: bool) -> None:
        name = next((name for name, held in self._held.items() if held.uid == pod.uid), None)
        attachment = self._attachments.get(name) if name is not None else None
        if attachment is not None and gone:
            attachment.abort()
        elif attachment is not None and pod.deleting:
            attachment.retire()
        self._tell()
