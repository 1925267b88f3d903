"""sandboxd's server on pods without a worker and its database, for tests and figures of the sandboxes alone."""

import os
import secrets
from collections.abc import Collection

import uvloop
from fleet_runtime.sandboxd.config import SandboxdSettings
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.server import serve
from fleet_runtime.telemetry.logs import configure_logs
from fleet_runtime.worker.pod_sandboxes import pod_backend


async def _alive(workers: Collection[str]) -> frozenset[str] | None:
    """Only the named one is dead: the tests say so in place of the database."""
    return frozenset(workers) - {os.environ.get("TEST_DEAD_WORKER", "")}


async def main() -> None:
    """Serve until SIGTERM."""
    configure_logs("info", role="sandboxd")
    worker_id = f"{os.environ['FLEET_WORKER_ID']}-{secrets.token_hex(4)}"
    settings = KubernetesSettings()  # pyright: ignore[reportCallIssue] - from the environment
    backend = pod_backend(settings, worker_id, _alive)
    await serve(SandboxdSettings(), backend)  # pyright: ignore[reportCallIssue] - from the environment


if __name__ == "__main__":
    uvloop.run(main())
