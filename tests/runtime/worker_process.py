"""A worker as a process of its own, on local sandboxes: what tests kill. Settings come from the environment."""

import os

import uvloop
from fleet_runtime.config import WorkerSettings
from fleet_runtime.telemetry.logs import configure_logs
from fleet_runtime.worker.server import serve
from local_sandboxes import LocalSandboxes

if __name__ == "__main__":
    settings = WorkerSettings()  # pyright: ignore[reportCallIssue] - from the environment
    configure_logs(settings.log_level, role="worker", worker=settings.worker_id)
    maximum = int(os.environ.get("FLEET_TEST_MAXIMUM", "1000"))
    claimed = int(os.environ.get("FLEET_TEST_CLAIMED_MAXIMUM", str(maximum)))
    uvloop.run(serve(settings, sandboxes=LocalSandboxes(maximum, claimed, settings.template)))
