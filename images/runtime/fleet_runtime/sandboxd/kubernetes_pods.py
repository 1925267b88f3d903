"""The pool's pods as the API server last told of them: listed once, then watched."""

import asyncio
import random
from collections.abc import Callable, Mapping

import structlog

from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.kubernetes_api import KubernetesApi, Object, RequestError
from fleet_runtime.sandboxd.kubernetes_pod import Pod, read_pod

_PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0)

_log = structlog.get_logger(__name__)


class PodCache:
    """What is known of the pods. It may be behind: a claim says which version it means."""

    def __init__(self, api: KubernetesApi, *, on_change: Callable[[Pod, bool], None]) -> None:
        """Begin empty; `on_change(pod, gone)` is called for each change. `run` fills it."""
        self._api = api
        self._on_change = on_change
        self._pods: dict[str, Pod] = {}
        self._lost_to_others: dict[str, str] = {}
        self._reserved: set[str] = set()
        self._changed = asyncio.Event()
        self.problem: str | None = "the pods have not been listed yet"
        """Why the pods are not known, where they are not."""

    @property
    def pods(self) -> Mapping[str, Pod]:
        """Every pod of the pool by name."""
        return self._pods

    async def run(self) -> None:
        """List and watch until cancelled. A watch that ends or breaks is taken up again, or all is listed anew."""
        failures = 0
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                    failures, self.problem = 0, None
                version = await self._watch(version)
            except BackendError as error:
                # 410: so much has happened since that version that it is not remembered any more.
                if not (isinstance(error, RequestError) and error.status == 410):
                    if self.problem is None:
                        _log.warning("pod_watch_broke", reason=str(error))
                    self.problem = str(error)
                    await asyncio.sleep(_PAUSES_SECONDS[min(failures, 3)] * random.uniform(0.5, 1))  # noqa: S311
                    failures += 1
                version = None
            except Exception as error:
                _log.exception("pod_watch_failed")
                version, self.problem = None, f"the watch over the pods failed: {type(error).__name__}"
                await asyncio.sleep(_PAUSES_SECONDS[-1])

    def reserve(self) -> Pod | None:
        """Return a pod to claim that nobody else in this process is claiming, if there is one.

        Which one is left to chance, so that workers which all look for one seldom reach for the same.
        """
        found = [
            pod
            for pod in self._pods.values()
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

    def forget(self, pod: Pod) -> None:
        """Take a pod that was just deleted for gone, before the watch tells of it."""
        if pod.name in self._pods and self._pods[pod.name].uid == pod.uid:
            del self._pods[pod.name]

    async def change(self) -> None:
        """Wait for the next change of any pod."""
        changed = self._changed
        await changed.wait()

    async def _list(self) -> str:
        found, version = await self._api.list_pods()
        pods = {pod.name: pod for pod in map(read_pod, found)}
        gone = [pod for name, pod in self._pods.items() if name not in pods or pods[name].uid != pod.uid]
        self._pods = pods
        for pod in gone:
            self._tell(pod, True)
        for pod in pods.values():
            self._tell(pod, False)
        return version

    async def _watch(self, version: str) -> str:
        """Follow what happens after a version; returns the last one seen where the server ends the watch."""
        async for kind, described in self._api.watch_pods(version):
            version = _version(described)
            if kind == "BOOKMARK":
                continue
            pod = read_pod(described)
            if kind == "DELETED":
                self._pods.pop(pod.name, None)
            else:
                self._pods[pod.name] = pod
            self._tell(pod, kind == "DELETED")
        return version

    def _tell(self, pod: Pod, gone: bool) -> None:
        if gone:
            self._reserved.discard(pod.uid)
            self._lost_to_others.pop(pod.uid, None)
        self._on_change(pod, gone)
        self._changed.set()
        self._changed = asyncio.Event()


def _version(described: Object) -> str:
    return str(described["metadata"]["resourceVersion"])
