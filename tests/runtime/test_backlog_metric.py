"""The metric that worker hosts are scaled by: what CloudWatch is told, and what becomes of the API without it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest
from fleet_runtime.api.backlog_metric import METRIC, BacklogMetric, MetricRefusedError, backlog_metric
from fleet_runtime.config import ApiSettings
from fleet_runtime.database import Database
from fleet_runtime.store.acceptance import Acceptance
from jobs import new_job, worker_on
from pydantic import ValidationError
from runtime_processes import start_stack, until
from sqs_carrier import REGION, SqsServer, aws_environment
from structlog.testing import capture_logs

from tests.runtime.free_ports import free_port

NAMESPACE = "agent-fleet"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that the emulator takes, and nothing of this machine's own AWS."""
    for name in ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDWATCH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in aws_environment().items():
        monkeypatch.setenv(name, value)


def settings(**given: str) -> ApiSettings:
    """An API's settings with these variables."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"FLEET_DATABASE_URL": "postgresql://x", **given}.items():
            patched.setenv(name, value)
        return ApiSettings()  # pyright: ignore[reportCallIssue] - from the environment


def told(server: SqsServer, fleet: str) -> list[float]:
    """What CloudWatch was told of a fleet in the last minutes, the highest of each minute."""
    client: Any = boto3.client("cloudwatch", region_name=REGION, endpoint_url=f"http://127.0.0.1:{server.port}")  # pyright: ignore[reportUnknownMemberType]
    now = datetime.now(UTC)
    found = client.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=METRIC,
        Dimensions=[{"Name": "Fleet", "Value": fleet}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )
    return [float(each["Maximum"]) for each in found["Datapoints"]]


def metric(server_port: int, fleet: str, database: Database) -> BacklogMetric:
    """The metric of a fleet, sent to the emulator."""
    given = settings(
        FLEET_NAME=fleet,
        FLEET_BACKLOG_NAMESPACE=NAMESPACE,
        FLEET_BACKLOG_SECONDS="1",
        AWS_ENDPOINT_URL_CLOUDWATCH=f"http://127.0.0.1:{server_port}/",
    )
    found = backlog_metric(given, database)
    assert found is not None
    return found


async def test_queued_and_running_jobs_are_sent_together(database: Database, sqs_server: SqsServer) -> None:
    """Hosts would be taken away under the jobs that they run."""
    for _ in range(3):
        await Acceptance(database).accept(new_job())
    claims, _ = worker_on(database, "w")
    await claims.claim(1)
    async with httpx.AsyncClient(timeout=30) as client:
        assert await metric(sqs_server.port, "fleet-counted", database).send(client) == 3
    assert told(sqs_server, "fleet-counted") == [3.0]


async def test_an_idle_fleet_says_so(database: Database, sqs_server: SqsServer) -> None:
    """Missing data ends no host: spot hosts would be paid for through the night."""
    async with httpx.AsyncClient(timeout=30) as client:
        await metric(sqs_server.port, "fleet-idle", database).send(client)
    assert told(sqs_server, "fleet-idle") == [0.0]


async def test_cloudwatch_away_ends_nothing_and_is_said_once(database: Database) -> None:
    """The API would end with every failed request to AWS, and jobs with it; or fill its log."""
    attempts = asyncio.Semaphore(0)
    lost = metric(free_port(), "fleet-away", database)
    send = lost.send

    async def counted(client: httpx.AsyncClient) -> int:
        attempts.release()
        return await send(client)

    lost.send = counted
    prepared = asyncio.Event()
    prepared.set()
    with capture_logs() as lines:
        running = asyncio.create_task(lost.run(prepared))
        async with asyncio.timeout(20):
            for _ in range(3):
                await attempts.acquire()
        assert not running.done()
        running.cancel()
    assert [line["event"] for line in lines] == ["backlog_metric_not_sent"]


async def test_a_refusal_repeats_nothing_of_what_was_sent(database: Database, sqs_server: SqsServer) -> None:
    """A log would have what a request was signed with."""
    refused = metric(sqs_server.port, "fleet-refused", database)
    refused._endpoint += "nowhere"  # pyright: ignore[reportPrivateUsage] - an address that answers with an error
    async with httpx.AsyncClient(timeout=30) as client:
        with pytest.raises(MetricRefusedError) as error:
            await refused.send(client)
    assert "Credential" not in str(error.value)


def test_the_api_sends_it_where_the_deployment_asks_for_it(database_url: str, sqs_server: SqsServer) -> None:
    """The whole way, as a host has it: the fleet would never grow."""
    fleet = "fleet-whole-way"
    given = {
        "NAME": fleet,
        "BACKLOG_NAMESPACE": NAMESPACE,
        "BACKLOG_REGION": REGION,
        "BACKLOG_SECONDS": "1",
        "CLOUDWATCH_ENDPOINT": f"http://127.0.0.1:{sqs_server.port}/",
    }
    with start_stack(database_url, workers=0, **given) as stack, stack.client() as client:
        body = {"language": "python", "code": "print(1)"}
        assert client.post("/execute", json=body).status_code == 202
        until(lambda: told(sqs_server, fleet) and max(told(sqs_server, fleet)) == 1, what="the metric")


def test_a_metric_without_a_region_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt to send it would fail, and nobody see why the fleet does not grow."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(ValidationError, match="set AWS_REGION"):
        settings(FLEET_BACKLOG_NAMESPACE=NAMESPACE)


def test_nothing_is_sent_unless_asked_for(database: Database) -> None:
    """A fleet outside of AWS would look for credentials for ever."""
    assert backlog_metric(settings(), database) is None
