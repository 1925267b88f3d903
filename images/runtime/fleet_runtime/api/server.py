"""The api role: two listeners, the doorbell, and the sweeper, in one process."""

import asyncio
import contextlib
import signal
import socket
import time
from typing import Any

import structlog
from prometheus_client import generate_latest
from sqlalchemy.exc import SQLAlchemyError

from fleet_runtime.api.app import create_app
from fleet_runtime.api.readiness import FRESH_SECONDS
from fleet_runtime.api.runtime import ApiRuntime
from fleet_runtime.api.upkeep import run_upkeep
from fleet_runtime.config import ApiSettings
from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.doorbell import Bell
from fleet_runtime.doorbell.choice import make_doorbell
from fleet_runtime.migrations.runner import migrate
from fleet_runtime.store.sweeping import Sweeper, outage_grace_seconds
from fleet_runtime.sweep_loop import run_sweeper
from fleet_runtime.tasks import end
from fleet_runtime.telemetry.http import bind, make_server, observation_app, stop
from fleet_runtime.telemetry.metrics import ApiMetrics
from fleet_runtime.telemetry.tracing import open_tracing

log = structlog.get_logger()

_PREPARE_RETRY_SECONDS = 1.0


async def serve(settings: ApiSettings) -> None:
    """Run until SIGTERM or SIGINT; then let open requests end. Raises OSError if an address is taken."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    public, private = bind(settings.api_listen), bind(settings.metrics_listen)
    url = settings.database_url.get_secret_value()
    database = Database(
        url,
        application_name=f"{settings.name}-api",
        connections=settings.database_connections,
        timeout_seconds=settings.database_timeout_seconds,
    )
    metrics = ApiMetrics()
    doorbell = make_doorbell(settings, role="api", templates=settings.templates, registry=metrics.registry)
    instance = socket.gethostname()
    tracing = open_tracing(settings.otlp_endpoint, service="fleet-api", fleet=settings.name, instance=instance)
    runtime = ApiRuntime(settings, database, doorbell, metrics, tracing)
    doorbell.listen(Bell.ENDED, runtime.waiters.rung)
    for bell in (Bell.WRITTEN, Bell.ENDED):
        doorbell.listen(bell, runtime.desk.rung)
    await database.open()
    observer = _Observer(runtime)
    background = [
        asyncio.create_task(_prepare(runtime, url)),
        asyncio.create_task(doorbell.run()),
        asyncio.create_task(runtime.waiters.run()),
        asyncio.create_task(runtime.desk.run()),
        asyncio.create_task(_sweep(runtime)),
    ]
    if not settings.pinned:
        background.append(asyncio.create_task(run_upkeep(runtime)))
    if settings.backlog_namespace is not None:
        # Only where it is used: no other API loads what signs requests.
        from fleet_runtime.api.backlog_metric import backlog_metric

        metric = backlog_metric(settings, database)
        if metric is not None:
            background.append(asyncio.create_task(metric.run(runtime.prepared)))
    api = make_server(create_app(runtime), shutdown_seconds=settings.drain_seconds)
    observation = make_server(observation_app(observer.metrics, observer.health))
    serving_metrics = asyncio.create_task(observation.serve(sockets=[private]))
    serving = asyncio.create_task(api.serve(sockets=[public]))
    log.info("api_listening", port=public.getsockname()[1], metrics_port=private.getsockname()[1])
    try:
        ended = asyncio.create_task(stopping.wait())
        await asyncio.wait([ended, serving, *background], return_when=asyncio.FIRST_COMPLETED)
        log.info("api_stopping")
        runtime.waiters.close()
        runtime.desk.close()
        await stop(api, serving)
        for task in background:
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise RuntimeError("a background task of the API has failed") from task.exception()
    finally:
        await stop(observation, serving_metrics)
        await end(background)
        await database.close()
        if tracing is not None:
            await tracing.close()
        log.info("api_stopped")


async def _prepare(runtime: ApiRuntime, url: str) -> None:
    """Bring the schema, the bootstrap keys and the budgets up to date, however long the database takes to come."""
    while not runtime.prepared.is_set():
        try:
            await asyncio.to_thread(migrate, url)
            if not runtime.settings.pinned:
                # Keys that nobody lists are revoked, so those APIs alone may do this that are told them.
                await runtime.keys.synchronise(runtime.settings.bootstrap_keys, runtime.settings.unlisted_key_seconds)
            if runtime.settings.tenant_budgets is not None:
                await runtime.budgets.synchronise(runtime.settings.tenant_budgets)
            runtime.prepared.set()
        except (SQLAlchemyError, DatabaseAway) as error:
            log.warning("database_not_ready", error=type(error).__name__, detail=str(error).splitlines()[0][:200])
            await asyncio.sleep(_PREPARE_RETRY_SECONDS)
    await asyncio.Event().wait()


async def _sweep(runtime: ApiRuntime) -> None:
    await runtime.prepared.wait()
    settings = runtime.settings
    sweeper = Sweeper(runtime.database, grace_seconds=outage_grace_seconds(settings.lease_renew_seconds))
    await run_sweeper(sweeper, runtime.doorbell, runtime.metrics.swept, interval_seconds=settings.sweep_seconds)


class _Observer:
    """What the private listener shows."""

    def __init__(self, runtime: ApiRuntime) -> None:
        self._runtime = runtime
        self._asked_at = float("-inf")

    def health(self) -> dict[str, Any]:
        return {"status": "ok", "prepared": self._runtime.prepared.is_set()}

    async def metrics(self) -> bytes:
        metrics = self._runtime.metrics
        metrics.streams.set(self._runtime.desk.taken)
        if time.monotonic() - self._asked_at > 1:
            self._asked_at = time.monotonic()
            metrics.database_up.set(0)
            with contextlib.suppress(DatabaseAway):
                await self._look()
                metrics.database_up.set(1)
        return generate_latest(metrics.registry)

    async def _look(self) -> None:
        metrics, fleet = self._runtime.metrics, self._runtime.fleet
        depth = await fleet.depth()
        workers = await fleet.workers(FRESH_SECONDS)
        for gauge in (metrics.depth, metrics.running, metrics.oldest):
            gauge.clear()
        for template in {*self._runtime.settings.templates, *depth.queued, *depth.running}:
            metrics.depth.labels(template).set(depth.queued.get(template, 0))
            metrics.running.labels(template).set(depth.running.get(template, 0))
            metrics.oldest.labels(template).set(depth.oldest_seconds.get(template, 0))
        healthy = sum(worker.healthy and not worker.draining for worker in workers)
        metrics.workers.labels("true").set(healthy)
        metrics.workers.labels("false").set(len(workers) - healthy)
