"""The worker role on Modal: the fleet's own worker and sandboxd, with sandboxes of Modal's behind it."""

import asyncio
import os
import tempfile
from pathlib import Path

from fleet_runtime.config import WorkerSettings
from fleet_runtime.sandboxd.config import SandboxdSettings
from fleet_runtime.sandboxd.server import Sandboxd
from fleet_runtime.telemetry.logs import configure_logs
from fleet_runtime.worker.server import serve
from modal_sandboxes import ModalBackend


async def main() -> None:
    """Work until SIGTERM; then no sandbox is left."""
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "sandboxd.sock"
        os.environ["FLEET_SANDBOXD_SOCKET"] = str(socket)
        settings = WorkerSettings()  # pyright: ignore[reportCallIssue] - from the environment
        configure_logs(settings.log_level, role="worker", fleet=settings.name, worker=settings.worker_id)
        lifetime = int(os.environ["FLEET_MODAL_SANDBOX_SECONDS"])
        backend = ModalBackend(os.environ["FLEET_MODAL_APP"], settings.worker_id, lifetime)
        sandboxd = Sandboxd(SandboxdSettings(), backend)  # pyright: ignore[reportCallIssue] - from the environment
        sandboxes = asyncio.create_task(sandboxd.run())
        try:
            await serve(settings)
        finally:
            sandboxd.stop()
            await sandboxes


if __name__ == "__main__":
    asyncio.run(main())
