"""Sandboxes as pods of a Deployment: claimed and attached ahead of need, used once, deleted, and so replaced."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime

import structlog

from fleet_runtime.sandboxd.backend import BackendError, Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.kubernetes_api import KubernetesApi, RequestError
from fleet_runtime.sandboxd.kubernetes_attachment import PodAttachment
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.kubernetes_owners import Owners
from fleet_runtime.sandboxd.kubernetes_pod import Pod, claim
from fleet_runtime.sandboxd.kubernetes_pods import PodCache
from fleet_runtime.sandboxd.workspace import Workspace

_CLAIM_SHARE = 0.8
"""Of the time that a start may take, so much is waited for a free pod; the rest is for attaching to it."""
_EMPTY_SECONDS = 15.0
"""A pool that has had no pod at all for so long has none coming."""
_SYNC_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class KubernetesBackend:
    """Claims the pods of one pool for one worker. All methods belong to one event loop."""

    shared = True

    def __init__(
        self,
        settings: KubernetesSettings,
        worker_id: str,
        alive: Callable[[Collection[str]], Awaitable[frozenset[str] | None]],
    ) -> None:
        """Nothing is asked yet. `alive` says which of some workers live, None where that is not known just now."""
        self._settings = settings
        self._worker_id = worker_id
        self._api = KubernetesApi(settings)
        self._cache = PodCache(self._api, on_change=self._pod_changed)
        self._owners = Owners(worker_id, alive)
        self._watching: asyncio.Task[None] | None = None
        self._claims: dict[str, Pod] = {}
        self._attachments: dict[str, PodAttachment] = {}
        self._empty_since: float | None = None
        self._short_of_pods = 0

    @property
    def address(self) -> str:
        """The API server's address, `host:port`."""
        return self._api.address

    async def check(self, templates: Mapping[str, SandboxTemplate]) -> Mapping[str, str]:
        """Look at the pods: whether they are known, and if none can be claimed, whether any will be."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._cache.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SYNC_SECONDS):
                while self._cache.problem is not None and not self._cache.pods:
                    await self._cache.change()
        if self._cache.problem is not None:
            raise BackendError(self._cache.problem)
        problem = self._problem()
        return dict.fromkeys(templates, problem) if problem else {}

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        """Claim a pod, attach, and have its runner say that it is ready."""
        del template_name, workspace
        deadline = time.monotonic() + template.start_timeout_seconds * _CLAIM_SHARE
        pod = await self._claim(name, deadline)
        attachment = PodAttachment(name, await self._api.attach(pod.name))
        self._attachments[pod.uid] = attachment
        try:
            await attachment.greet()
        except BaseException:
            attachment.abort()
            raise
        return attachment

    def shortage(self) -> str | None:
        """Say how the pods are used while a start waits for one; None where none waits, or the pods are not known."""
        return self._stock() if self._short_of_pods and self._cache.problem is None else None

    async def remove(self, name: str) -> None:
        """Delete the pod that was claimed under this name, or the pod of this name where it is a left-over."""
        pod = self._claims.get(name) or self._cache.pods.get(name)
        if pod is None:
            return
        await self._api.delete_pod(pod.name, pod.uid)
        # Under its own name too: one whose removal failed comes back here as a left-over.
        self._claims = {claimed: one for claimed, one in self._claims.items() if one.uid != pod.uid}
        self._cache.forget(pod)
        attachment = self._attachments.pop(pod.uid, None)
        if attachment is not None:
            attachment.abort()

    async def left_over(self, known: Collection[str]) -> list[str]:
        """Return the pods that nobody alive holds and that nobody may claim any more."""
        mine = {pod.uid for name, pod in self._claims.items() if name in known}
        pods = list(self._cache.pods.values())
        found = [pod for pod in pods if pod.owner == self._worker_id and pod.uid not in mine]
        # Nobody claims a pod that was used or is being deleted, and the Deployment already makes another for it.
        found += [pod for pod in pods if pod.owner is None and (pod.used or pod.deleting)]
        return [pod.name for pod in (*found, *await self._owners.abandoned(pods))]

    async def ran_out_of_memory(self, name: str) -> bool:
        """Wait a moment for the kubelet to say what its container died of."""
        claimed = self._claims.get(name)
        return claimed is not None and await self._cache.ran_out_of_memory(claimed)

    def close(self) -> None:
        """Give up the watch and the connections."""
        if self._watching is not None:
            self._watching.cancel()
        self._api.close()

    def _stock(self) -> str:
        pods = self._cache.pods.values()
        mine = sum(pod.owner == self._worker_id for pod in pods)
        claimed = sum(pod.owner is not None for pod in pods)
        return (
            f"no sandbox pod is free: of {len(pods)}, {claimed} are claimed ({mine} by this worker) and "
            f"{len(pods) - claimed} are starting or ending; more replicas would help"
        )

    async def _claim(self, name: str, deadline: float) -> Pod:
        while True:
            pod = self._cache.reserve()
            if pod is None:
                self._short_of_pods += 1
                try:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        await self._cache.change()
                except TimeoutError:
                    raise BackendError(self._stock(), shortage=True) from None
                finally:
                    self._short_of_pods -= 1
                continue
            # Noted first, so that it is not taken for a left-over meanwhile.
            self._claims[name] = pod
            try:
                await self._api.patch_pod(pod.name, claim(pod.version, self._worker_id, datetime.now(UTC)))
            except BaseException as error:
                # Without an answer it may be another worker's by now, so it is not deleted by this name: if the claim
                # was made after all, the pod is found as a left-over of this worker's.
                del self._claims[name]
                if isinstance(error, RequestError) and error.status in (404, 409):
                    self._cache.lost(pod)
                    continue
                self._cache.put_back(pod)
                raise
            return pod

    def _problem(self) -> str | None:
        """Return why no pod can be claimed, and none will be before somebody changes something."""
        pods = list(self._cache.pods.values())
        if pods:
            self._empty_since = None
            if any(pod.free or pod.owner is not None for pod in pods):
                return None
            weak = next((pod for pod in pods if pod.weakness), None)
            if weak is not None:
                return f"pod {weak.name} is not fit for a stranger's code: {weak.weakness}"
            stuck = next((pod for pod in pods if pod.stuck), None)
            return f"pod {stuck.name} does not start: {stuck.stuck}" if stuck is not None else None
        self._empty_since = self._empty_since or time.monotonic()
        if time.monotonic() - self._empty_since < _EMPTY_SECONDS:
            return None
        return (
            f"namespace {self._settings.sandbox_namespace} has no pod with {self._settings.sandbox_selector}: "
            "is the pool's sandbox Deployment there, and does the namespace's quota admit its pods?"
        )

    def _pod_changed(self, pod: Pod, gone: bool) -> None:
        attachment = self._attachments.get(pod.uid)
        if attachment is None:
            return
        if gone:
            attachment.abort()
        elif pod.deleting:
            # Its grace lasts as long as the longest job: one that runs may end, but none begins.
            attachment.retire()
