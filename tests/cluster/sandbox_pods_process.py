"""sandboxd's server on pods, without a worker and its database, for tests and figures of the sandboxes alone."""

import asyncio
from collections.abc import Collection

from fleet_runtime.sandboxd.config import SandboxdSettings
from fleet_runtime.sandboxd.kubernetes_backend import KubernetesBackend
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from fleet_runtime.sandboxd.server import serve
from fleet_runtime.telemetry.logs import configure_logs

import os, secrets


async def main() -> None:
    """Serve until SIGTERM."""
    async def alive(workers: Collection[str]) -> frozenset[str]:
        return frozenset(workers)
    configure_logs("info", role="sandboxd")
    worker_id = f"{os.environ['FLEET_WORKER_ID']}-{secrets.token_hex(4)}"
    backend = KubernetesBackend(KubernetesSettings(), worker_id, alive)
    await serve(SandboxdSettings(), backend)

if __name__ == "__main__":
    import uvloop
    uvloop.run(main())
