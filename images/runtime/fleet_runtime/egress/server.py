"""The egress role from start to SIGTERM."""

import asyncio
import os
import signal
from typing import Any

import structlog

from fleet_runtime.egress.access import TemplateRules
from fleet_runtime.egress.budget import Budgets
from fleet_runtime.egress.config import EgressSettings
from fleet_runtime.egress.dialer import Dialer
from fleet_runtime.egress.gate import Gates
from fleet_runtime.egress.metrics import Metrics
from fleet_runtime.egress.sandboxd_link import SandboxdLink
from fleet_runtime.tasks import end
from fleet_runtime.telemetry.http import bind, make_server, observation_app, stop

_log = structlog.get_logger(__name__)


async def serve(settings: EgressSettings, dialer: Dialer | None = None) -> None:
    """Be the proxy until SIGTERM or SIGINT. What runs through it then is cut off, as its job's sandbox would be."""
    # The resolver's own (resolv.conf(5)): no thread of it is held longer than a connection waits for it.
    os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:2")
    metrics = Metrics()
    budgets = Budgets(settings.egress_tenant_daily_bytes, settings.egress_tenant_daily_requests)
    rules = {
        name: TemplateRules(name, policy, settings.egress_credentials.get(name, {}))
        for name, policy in settings.egress_policies.items()
    }
    gates = Gates(rules, budgets, dialer or Dialer(settings.refused_networks), metrics)
    link = SandboxdLink(settings.egress_socket, settings.egress_sandboxd_uid, gates, budgets, metrics)

    async def text() -> bytes:
        return metrics.text()

    def health() -> dict[str, Any]:
        # Not whether sandboxd is there: it starts after this one, and says itself when they have not met.
        return {"status": "ok"}

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    observation = make_server(observation_app(text, health), shutdown_seconds=1)
    serving = asyncio.create_task(observation.serve(sockets=[bind(settings.egress_listen)]))
    linking = asyncio.create_task(link.run())
    _log.info("egress_started", templates={name: len(each.policy.domains) for name, each in rules.items()})
    ended = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({ended, linking}, return_when=asyncio.FIRST_COMPLETED)
    await end((ended, linking))
    if linking in done:
        linking.result()
    await stop(observation, serving)
    _log.info("egress_stopped")
