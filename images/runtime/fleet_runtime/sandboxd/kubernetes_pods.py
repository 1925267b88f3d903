"""The pool's pods as the API server last told of them, and which of them to claim next."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping

from fleet_runtime.sandboxd.kubernetes_api import KubernetesApi, Object
from fleet_runtime.sandboxd.kubernetes_pod import Pod, controlling, read_pod
from fleet_runtime.sandboxd.kubernetes_watch import WatchedObjects

_OOM_SECONDS = 1.8
"""The kubelet looks at its containers once a second."""


class PodCache(WatchedObjects[Pod]):
    """What is known of the pods. It may be behind: a claim says which version it means."""

    def __init__(
        self, api: KubernetesApi, *, on_change: Callable[[Pod, bool], None], of_sandboxes: bool = False
    ) -> None:
        """Begin empty; `on_change(pod, gone)` is called for each change. `run` fills it.

        Known are the pods of agent-sandbox's Sandboxes, or else all but those: while a pool passes from the one to the
        other both are there, with the same labels, and who claims the one must not touch the other.
        """

        def read(described: Object) -> Pod | None:
            owner = controlling(described["metadata"]) or {}
            return read_pod(described) if (owner.get("kind") == "Sandbox") is of_sandboxes else None

        super().__init__("pod", listing=api.list_pods, watching=api.watch_pods, read=read, on_change=self._pod_changed)
        self._told = on_change
        self._lost_to_others: dict[str, str] = {}
        self._reserved: set[str] = set()

    @property
    def pods(self) -> Mapping[str, Pod]:
        """Every pod of the pool by name."""
        return self.objects

    def reserve(self) -> Pod | None:
        """Return a pod to claim that nobody else in this process is claiming, if there is one.

        Which one is left to chance, so that workers which all look for one seldom reach for the same.
        """
        found = [
            pod
            for pod in self.pods.values()
            if pod.free and pod.uid not in self._reserved and self._lost_to_others.get(pod.uid) != pod.version
        ]
        if not found:
            return None
        chosen = random.choice(found)  # noqa: S311
        self._reserved.add(chosen.uid)
        return chosen

    def lost(self, pod: Pod) -> None:
        """Put a reserved pod back that somebody else has changed: not to be tried again before that change is seen."""
        self._reserved.discard(pod.uid)
        self._lost_to_others[pod.uid] = pod.version

    def put_back(self, pod: Pod) -> None:
        """Let a reserved pod be tried again: the claim says which version it means, so a second one does no harm."""
        self._reserved.discard(pod.uid)

    async def ran_out_of_memory(self, claimed: Pod) -> bool:
        """Wait a moment for the kubelet to say what a pod's container died of."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OOM_SECONDS):
                while True:
                    pod = self.pods.get(claimed.name)
                    if pod is None or pod.uid != claimed.uid or pod.used:
                        return pod is not None and pod.uid == claimed.uid and pod.out_of_memory
                    await self.change()
        return False

    def _pod_changed(self, pod: Pod, gone: bool) -> None:
        if gone:
            self._reserved.discard(pod.uid)
            self._lost_to_others.pop(pod.uid, None)
        self._told(pod, gone)
