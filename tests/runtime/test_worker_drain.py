"""What a worker does on its way out, in one process with the test."""

import asyncio
from pathlib import Path

from fleet_runtime.config import WorkerSettings
from fleet_runtime.database import Database
from fleet_runtime.doorbell.postgres import PostgresDoorbell
from fleet_runtime.payload import encode
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.worker.worker import Worker
from gated_code import until_there
from jobs import new_job, row
from local_sandboxes import LocalSandboxes


async def test_a_worker_says_that_it_drains_before_its_jobs_have_ended(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Its warm sandboxes are given up then: its last job may take an hour, and its successor needs them now."""
    told, started = tmp_path / "told", tmp_path / "started"
    code = f"import os, time\nopen({str(started)!r}, 'w').close()\n{until_there(told)}"
    job = new_job(body=encode("python", code, None, {}))
    await Acceptance(database).accept(job)
    settings = WorkerSettings.model_validate({"database_url": database_url, "drain_seconds": 20})
    doorbell = PostgresDoorbell(database_url, application_name="test-doorbell")
    worker = Worker(settings, database, doorbell, LocalSandboxes(), WorkerMetrics(), on_drain=lambda _: told.touch())
    stopping = asyncio.Event()
    running = asyncio.create_task(worker.run(stopping))
    async with asyncio.timeout(30):
        while not started.exists():
            await asyncio.wait({running}, timeout=0.02)
        assert not told.exists()
        stopping.set()
        await running
    assert row(database_url, job.id)["status"] == "succeeded"
