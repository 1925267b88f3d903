"""The worker role: the worker itself, the doorbell, the sweeper, and the private listener."""

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import structlog
from prometheus_client import generate_latest

from fleet_runtime.config import WorkerSettings
from fleet_runtime.database import Database
from fleet_runtime.doorbell.choice import make_doorbell
from fleet_runtime.sandboxd.client import SandboxdClient, Sandboxes, SandboxLost, SandboxRefused
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.store.fleet import Fleet
from fleet_runtime.store.sweeping import Sweeper, outage_grace_seconds
from fleet_runtime.sweep_loop import run_sweeper
from fleet_runtime.tasks import end
from fleet_runtime.telemetry.http import bind, make_server, observation_app, stop
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.telemetry.tracing import open_tracing
from fleet_runtime.worker.drain_limit import DrainLimit
from fleet_runtime.worker.pod_sandboxes import PodSandboxes
from fleet_runtime.worker.worker import Worker

if TYPE_CHECKING:
    from fleet_runtime.worker.host_arrival import HostArrival
    from fleet_runtime.worker.host_departure import HostDeparture

log = structlog.get_logger()

_SANDBOXD_METRICS_SECONDS = 3.0


async def serve(settings: WorkerSettings, sandboxes: Sandboxes | None = None) -> None:
    """Run until SIGTERM, SIGINT or the host's notice that it goes, then drain; with a notice, stay until a signal.

    `sandboxes` takes the place of sandboxd's socket.
    """
    # Read before anything is opened: a setting that is wrong ends the process here.
    pod_settings = _pod_settings(settings) if sandboxes is None else None
    told, stopping = asyncio.Event(), asyncio.Event()
    drain_limit = DrainLimit(settings.drain_seconds)

    def tell() -> None:
        drain_limit.at_most()
        told.set()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, tell)
    listener = bind(settings.metrics_listen)
    url = settings.database_url.get_secret_value()
    database = Database(
        url,
        application_name=f"{settings.name}-worker-{settings.worker_id}",
        connections=min(8, settings.concurrency + 2),
        timeout_seconds=settings.database_timeout_seconds,
    )
    metrics = WorkerMetrics()
    doorbell = make_doorbell(settings, role="worker", templates=[settings.template], registry=metrics.registry)
    pods = PodSandboxes(settings, pod_settings, Fleet(database), metrics) if pod_settings is not None else None
    sandboxes = sandboxes or pods or SandboxdClient(settings.sandboxd_socket)
    instance = settings.worker_id
    tracing = open_tracing(settings.otlp_endpoint, service="fleet-worker", fleet=settings.name, instance=instance)
    on_drain = pods.drain if pods is not None else None
    worker = Worker(
        settings, database, doorbell, sandboxes, metrics, on_drain=on_drain, tracing=tracing, drain_limit=drain_limit
    )
    departure = _departure(settings, drain_limit, stopping, metrics)
    arrival = _arrival(settings, sandboxes)
    sweeper = Sweeper(database, grace_seconds=outage_grace_seconds(settings.lease_renew_seconds))

    async def exposition() -> bytes:
        metrics.sandboxes_healthy.set(worker.sandboxes_healthy)
        own = generate_latest(metrics.registry)
        with contextlib.suppress(SandboxLost, SandboxRefused, TimeoutError):
            async with asyncio.timeout(_SANDBOXD_METRICS_SECONDS):
                return own + (await sandboxes.metrics()).encode()
        return own

    await database.open()
    observation = make_server(observation_app(exposition, lambda: dict(worker.state), lambda: dict(worker.readiness)))
    observing = asyncio.create_task(observation.serve(sockets=[listener]))
    background = [
        asyncio.create_task(doorbell.run()),
        asyncio.create_task(
            run_sweeper(sweeper, doorbell, metrics.swept, interval_seconds=settings.sweep_seconds),
        ),
    ]
    if pods is not None:
        background.append(asyncio.create_task(pods.serve()))
    if departure is not None:
        background.insert(0, asyncio.create_task(departure.run()))

    async def work() -> None:
        if departure is not None:
            await departure.first_look()
        await worker.run(stopping)
        if departure is not None:
            await departure.settle(told)

    working = asyncio.create_task(work())
    # Not among those whose end ends the process: it has an end.
    arriving = [asyncio.create_task(arrival.run())] if arrival is not None else []
    log.info("worker_started", template=settings.template, concurrency=settings.concurrency)
    try:
        await asyncio.wait({working, *background}, return_when=asyncio.FIRST_COMPLETED)
        for task in background:
            if task.done():
                task.result()
        await working
    finally:
        stopping.set()
        await end((working,))
        if pods is not None:
            # The pods that were claimed ahead are deleted before the worker is gone.
            pods.stop()
            await asyncio.wait([background.pop()])
        await end((*background, *arriving))
        await stop(observation, observing)
        await database.close()
        if departure is not None:
            await departure.close()
        if arrival is not None:
            await arrival.close()
        if tracing is not None:
            await tracing.close()
        log.info("worker_stopped")


def _departure(
    settings: WorkerSettings, limit: DrainLimit, stopping: asyncio.Event, metrics: WorkerMetrics
) -> "HostDeparture | None":
    if settings.host_notices == "none":
        return None
    # Imported where it is used: most workers need neither an HTTP client nor botocore.
    from fleet_runtime.worker.host_departure import HostDeparture

    return HostDeparture.of(settings, limit, stopping, metrics)


def _arrival(settings: WorkerSettings, sandboxes: Sandboxes) -> "HostArrival | None":
    if settings.launch_hook is None:
        return None
    from fleet_runtime.worker.host_arrival import HostArrival

    return HostArrival.of(settings, sandboxes)


def _pod_settings(settings: WorkerSettings) -> KubernetesSettings | None:
    if settings.sandbox_backend != "kubernetes":
        return None
    return KubernetesSettings()  # pyright: ignore[reportCallIssue] - from the environment
