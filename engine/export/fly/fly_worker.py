"""The worker role on Fly: the fleet's own worker and sandboxd, with Machines of Fly's as sandboxes behind it."""

import asyncio
import os

from fleet_runtime.config import WorkerSettings
from fleet_runtime.sandboxd.config import SandboxdSettings
from fleet_runtime.sandboxd.server import Sandboxd
from fleet_runtime.telemetry.logs import configure_logs
from fleet_runtime.worker.server import serve
from fly_sandboxes import FlyBackend


async def main() -> None:
    """Work until SIGTERM; then no Machine of this worker's is left."""
    settings = WorkerSettings()  # pyright: ignore[reportCallIssue] - from the environment
    configure_logs(settings.log_level, role="worker", fleet=settings.name, worker=settings.worker_id)
    backend = FlyBackend(
        os.environ["FLEET_FLY_API"],
        os.environ["FLEET_FLY_SANDBOX_APP"],
        os.environ["FLEET_FLY_TOKEN"],
        # Fly itself tells every Machine these two.
        os.environ["FLY_REGION"],
        os.environ["FLY_MACHINE_ID"],
    )
    sandboxd = Sandboxd(SandboxdSettings(), backend)  # pyright: ignore[reportCallIssue] - from the environment
    sandboxes = asyncio.create_task(sandboxd.run())
    try:
        await serve(settings)
    finally:
        sandboxd.stop()
        await sandboxes


if __name__ == "__main__":
    asyncio.run(main())
