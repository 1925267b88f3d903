"""API and worker as processes over each doorbell: jobs run, and go on running while the doorbell is dead."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from calls import result, run, submit
from doorbell_carriers import TEMPLATE, Carrier, RedisCarrier
from fleet_runtime.doorbell import Bell
from runtime_processes import Stack, start_stack, until
from sqs_carrier import SqsCarrier, SqsServer


def failures(stack: Stack) -> float:
    """What the API has counted of its doorbell's failures."""
    text = httpx.get(f"{stack.metrics_url}/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("doorbell_failures_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _heard_of_end(carrier: Carrier, stack: Stack) -> UUID:
    """Run a job, and return its id once its end was rung."""
    heard: set[UUID] = set()
    connected, told = asyncio.Event(), asyncio.Event()

    def listener(ids: frozenset[UUID]) -> None:
        connected.set()
        heard.update(ids)
        if ids:
            told.set()

    doorbell = carrier.doorbell()
    doorbell.listen(Bell.ENDED, listener)
    carrying = asyncio.create_task(doorbell.run())
    try:
        async with asyncio.timeout(30):
            await connected.wait()
            with stack.client() as client:
                identifier = UUID((await asyncio.to_thread(run, client, code="print(1)"))["id"])
            while identifier not in heard:
                told.clear()
                await told.wait()
    finally:
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
    return identifier


def test_jobs_run_are_cancelled_and_told_of_over_each_doorbell(carrier: Carrier, database_url: str) -> None:
    """A doorbell that works in its own tests must be the one that the roles were told to ring."""
    with start_stack(database_url, workers=2, **carrier.environment) as stack:
        assert asyncio.run(_heard_of_end(carrier, stack))
        with stack.client() as client:
            jobs = [submit(client, code=f"print({number})") for number in range(10)]
            ended = [result(client, each, wait=60) for each in jobs]
            assert [(each["status"], each["stdout"]) for each in ended] == [("succeeded", f"{n}\n") for n in range(10)]
            running = submit(client, language="bash", code="sleep 60")
            until(lambda: result(client, running)["status"] == "running", what="the job's start")
            assert client.delete(f"/jobs/{running}").status_code == 202
            assert result(client, running, wait=20)["status"] == "cancelled"
        assert failures(stack) == 0


def test_a_queued_job_waits_in_the_queue_until_a_worker_receives_its_ring(
    sqs_server: SqsServer, database_url: str, aws: None
) -> None:
    """Rings that are not deleted come back for days, and workers would do nothing but read them."""
    queue = SqsCarrier(sqs_server, database_url)
    environment: dict[str, Any] = queue.environment
    with start_stack(database_url, **environment) as stack, stack.client() as client:
        identifier = submit(client, code="print(1)")
        until(lambda: queue.waiting(TEMPLATE) == 1, what="the ring in the queue")
        stack.start_worker()
        assert result(client, identifier, wait=30)["status"] == "succeeded"
        until(lambda: queue.waiting(TEMPLATE) == 0, what="the ring's deletion")


@pytest.mark.parametrize("kind", ["redis", "sqs"])
def test_jobs_run_while_the_doorbell_is_dead_and_after_it_is_back(
    kind: str, redis: RedisCarrier, sqs_server: SqsServer, database_url: str, aws: None
) -> None:
    """A doorbell must never become what the fleet cannot do without."""
    carrier: Carrier = redis if kind == "redis" else SqsCarrier(sqs_server, database_url)
    with start_stack(database_url, workers=1, **carrier.environment) as stack, stack.client() as client:
        assert run(client, code="print(1)")["stdout"] == "1\n"
        carrier.kill()
        try:
            jobs = [submit(client, code=f"print({number})") for number in range(5)]
            until(lambda: failures(stack) > 0, seconds=60, what="that the API misses it")
            assert {result(client, each, wait=60)["status"] for each in jobs} == {"succeeded"}
            assert httpx.get(f"{stack.url}/ready").status_code == 200
        finally:
            carrier.revive()
        assert asyncio.run(_heard_of_end(carrier, stack))
        assert all(process.popen.poll() is None for process in stack.processes)


def test_a_wrong_password_leaves_a_fleet_that_polls(redis: RedisCarrier, database_url: str) -> None:
    """A password that was changed on one side must show as slow starts and a metric, not as an outage."""
    environment: dict[str, Any] = {
        **redis.environment,
        "REDIS_URL": redis.url.replace("only-for-tests", "not-this-one"),
    }
    with start_stack(database_url, workers=1, **environment) as stack, stack.client() as client:
        assert run(client, code="print(1)")["stdout"] == "1\n"
        until(lambda: failures(stack) > 0, what="that the API is locked out")
        for process in stack.processes:
            assert "not-this-one" not in process.log.read_text()
