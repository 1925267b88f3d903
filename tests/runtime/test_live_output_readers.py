"""Readers that do not read, in one process with the test."""

import asyncio
from collections.abc import Generator, MutableMapping
from typing import Any

import pytest
from fleet_runtime.api import output, output_events
from fleet_runtime.api.app import create_app
from fleet_runtime.api.runtime import ApiRuntime
from fleet_runtime.config import ApiSettings
from fleet_runtime.database import Database
from fleet_runtime.doorbell.postgres import PostgresDoorbell
from fleet_runtime.keys import KeyStore
from fleet_runtime.states import JobStatus
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.live_output import Chunk, LiveOutput
from fleet_runtime.store.records import Outcome
from fleet_runtime.telemetry.metrics import ApiMetrics
from jobs import new_job, worker_on

_LIMIT_SECONDS = 30


@pytest.fixture
def impatient() -> Generator[None]:
    """Readers have a moment, so that the test has not to wait for half a minute."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(output, "_SLOW_SECONDS", 0.05)
        yield


async def _runtime(database: Database, database_url: str, **given: Any) -> ApiRuntime:
    settings = ApiSettings.model_validate({"database_url": database_url, **given})
    doorbell = PostgresDoorbell(database_url, application_name="test-doorbell")
    runtime = ApiRuntime(settings, database, doorbell, ApiMetrics())
    runtime.prepared.set()
    return runtime


def _scope(path: str, key: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {key}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "http_version": "1.1",
    }


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_takes_nothing_is_dropped_and_keeps_no_place(database: Database, database_url: str) -> None:
    """Each would hold its place, and a part of the output, for as long as it likes."""
    runtime = await _runtime(database, database_url)
    key = await KeyStore(database).create("tenant")
    job = new_job()
    await Acceptance(database).accept(job)
    app, desk = create_app(runtime), asyncio.create_task(runtime.desk.run())
    taken: list[int] = []

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            taken.append(runtime.desk.taken)
            # What a connection does whose buffer is full.
            await asyncio.Future()

    async with asyncio.timeout(_LIMIT_SECONDS):
        await app(_scope(f"/jobs/{job.id}/output", key), receive, send)
    assert taken == [1]
    assert runtime.desk.taken == 0
    desk.cancel()


async def test_a_reader_that_leaves_before_anything_happens_keeps_no_place(
    database: Database, database_url: str
) -> None:
    """Clients that connect and go are most of what an open port sees."""
    runtime = await _runtime(database, database_url)
    key = await KeyStore(database).create("tenant")
    job = new_job()
    await Acceptance(database).accept(job)
    app = create_app(runtime)
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with asyncio.timeout(_LIMIT_SECONDS):
        await app(_scope(f"/jobs/{job.id}/output", key), receive, send)
    assert statuses in ([200], [])
    assert runtime.desk.taken == 0


@pytest.fixture
def asked_often() -> Generator[None]:
    """Keys are asked again after a moment, so that the test has not to wait for ten seconds."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(output_events, "KEEP_ALIVE_SECONDS", 0.05)
        yield


@pytest.mark.usefixtures("asked_often")
async def test_a_revoked_key_ends_the_stream_of_a_job_that_never_falls_silent(
    database: Database, database_url: str
) -> None:
    """A key that was asked again in silence only would follow a busy job for the day that it may run."""
    runtime = await _runtime(database, database_url, key_cache_seconds=0)
    keys, written = KeyStore(database), LiveOutput(database)
    key = await keys.create("tenant")
    job = new_job()
    await Acceptance(database).accept(job)
    claims, _ = worker_on(database, "worker")
    await claims.claim(1)
    app, desk = create_app(runtime), asyncio.create_task(runtime.desk.run())
    parts = 0

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal parts
        if message["type"] != "http.response.body":
            return
        if parts == 1:
            await keys.revoke(key.split("_")[1])
        parts += 1
        await written.publish([Chunk(job.id, 1, "stdout", 0, b"x" * parts)])
        runtime.desk.rung(frozenset({job.id}))

    async with asyncio.timeout(_LIMIT_SECONDS):
        await app(_scope(f"/jobs/{job.id}/output", key), receive, send)
    assert parts > 1
    desk.cancel()


async def test_a_lost_ring_is_made_good_while_other_jobs_ring_all_the_time(
    database: Database, database_url: str
) -> None:
    """A worker that is killed between its commit and its ring would leave a stream without an end on a busy API."""
    runtime = await _runtime(database, database_url)
    key = await KeyStore(database).create("tenant")
    silent, busy = new_job(), new_job()
    for job in (silent, busy):
        await Acceptance(database).accept(job)
    claims, outcomes = worker_on(database, "worker")
    await claims.claim(2)
    app, seen = create_app(runtime), b""

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal seen
        if message["type"] == "http.response.body":
            seen += message["body"]
            if b"event: state" in message["body"]:
                await outcomes.finish(silent.id, 1, Outcome(JobStatus.SUCCEEDED, exit_code=0))

    async def ring() -> None:
        while True:
            runtime.desk.rung(frozenset({busy.id}))
            await asyncio.sleep(0.005)

    others = [asyncio.create_task(runtime.desk.run()), asyncio.create_task(ring())]
    try:
        with runtime.desk.follow(busy.id):
            async with asyncio.timeout(_LIMIT_SECONDS):
                await app(_scope(f"/jobs/{silent.id}/output", key), receive, send)
    finally:
        for task in others:
            task.cancel()
    assert b"event: end" in seen
