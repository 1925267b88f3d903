"""Sandboxes in pods: sandboxd's own server and pools inside the worker process, with pods in place of containers."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path

from fleet_runtime.config import WorkerSettings
from fleet_runtime.database import DatabaseAway
from fleet_runtime.sandboxd.agent_sandbox_backend import AgentSandboxBackend
from fleet_runtime.sandboxd.client import OnOutput, OnStarted, PoolCount, RunRequest, RunResult, SandboxdClient
from fleet_runtime.sandboxd.config import SandboxdSettings
from fleet_runtime.sandboxd.kubernetes_backend import KubernetesBackend
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.server import Sandboxd
from fleet_runtime.store.fleet import Fleet
from fleet_runtime.tasks import end
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.worker.canary_targets import canary_targets
from fleet_runtime.worker.network_canary import NetworkCanary

_ALIVE_SECONDS = 20.0
"""A worker beats every 5 s; one unheard of for longer may be dead."""
_REMOVAL_SECONDS = 15.0


def pod_backend(
    settings: KubernetesSettings,
    worker_id: str,
    alive: Callable[[Collection[str]], Awaitable[frozenset[str] | None]],
) -> KubernetesBackend | AgentSandboxBackend:
    """Return what claims the pods of the pool: agent-sandbox's, where it has them, or those of a Deployment."""
    if settings.agent_sandbox is None:
        return KubernetesBackend(settings, worker_id, alive)
    return AgentSandboxBackend(settings, settings.agent_sandbox, worker_id, alive)


class PodSandboxes:
    """Implements `Sandboxes`, for one pool in one namespace; its socket is for this process alone."""

    def __init__(
        self, settings: WorkerSettings, pod_settings: KubernetesSettings, fleet: Fleet, metrics: WorkerMetrics
    ) -> None:
        """Nothing is started before `serve`."""
        self._fleet = fleet
        socket = Path(settings.sandboxd_socket)
        backend = pod_backend(pod_settings, settings.worker_id, self._alive)
        self._sandboxd = Sandboxd(
            SandboxdSettings(
                name=settings.name,
                sandboxd_socket=socket,
                sandboxd_allowed_uids=str(os.geteuid()),
                sandbox_templates=pod_settings.sandbox_templates,
                drain_seconds=_REMOVAL_SECONDS,
            ),
            backend,
        )
        self._client = SandboxdClient(socket)
        self._canary = NetworkCanary(
            self._client,
            template=settings.template,
            targets=lambda: canary_targets(pod_settings, settings.database_url.get_secret_value()),
            enforced=pod_settings.network_canary == "enforce",
            interval_seconds=pod_settings.canary_seconds,
            metrics=metrics,
        )

    async def serve(self) -> None:
        """Run until `stop`; returns when every pod that was claimed is deleted."""
        canary = asyncio.create_task(self._canary.run())
        try:
            await self._sandboxd.run()
        finally:
            await end((canary,))

    def drain(self, draining: bool) -> None:
        """Delete the pods that were claimed ahead, and claim only for jobs, while this worker takes no new ones."""
        self._sandboxd.keep_warm(not draining)

    def stop(self) -> None:
        """Begin to shut down; jobs that still run are ended."""
        self._sandboxd.stop()

    async def run(
        self,
        request: RunRequest,
        *,
        kill: asyncio.Event,
        on_started: OnStarted | None = None,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run one job to its end; raises SandboxRefused or SandboxLost."""
        return await self._client.run(request, kill=kill, on_started=on_started, on_output=on_output)

    async def count(self) -> PoolCount:
        """Return what can run now: nothing while the canary says that the network is open. Raises SandboxLost."""
        count = await self._client.count()
        if count.healthy and self._canary.refusal is not None:
            return replace(count, healthy=False, reason=self._canary.refusal)
        return count

    async def metrics(self) -> str:
        """Return sandboxd's metrics; raises SandboxLost."""
        return await self._client.metrics()

    async def _alive(self, workers: Collection[str]) -> frozenset[str] | None:
        try:
            return await self._fleet.living(workers, _ALIVE_SECONDS)
        except DatabaseAway:
            return None
