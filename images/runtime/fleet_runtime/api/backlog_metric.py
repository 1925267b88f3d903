"""The fleet's queued and running jobs as a metric of CloudWatch, which a fleet's worker hosts are scaled by.

Queued ones alone would not do: hosts would be taken away under the jobs that they run. Those that a tenant's budget
keeps waiting are not counted: one tenant's long queue would have hosts started that none of it may run on. Every API of
the fleet says the same number, the database's, so that alarms look at the maximum and one API is enough.
"""

import asyncio
import random
from urllib.parse import urlencode

import httpx
import structlog
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from fleet_runtime.config import ApiSettings
from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.doorbell.aws_credentials import AwsCredentials, NoCredentialsError
from fleet_runtime.store.demand import demand

log = structlog.get_logger()

METRIC = "Backlog"
DIMENSION = "Fleet"
_ANSWER_SECONDS = 10.0
_CONNECT_SECONDS = 5.0


class MetricRefusedError(Exception):
    """CloudWatch refused the metric."""


class BacklogMetric:
    """Counts the jobs, and sends the number: one signed request each time."""

    def __init__(
        self, settings: ApiSettings, database: Database, *, namespace: str, region: str, credentials: AwsCredentials
    ) -> None:
        """Send to `namespace` in `region`."""
        self._database, self._name, self._seconds = database, settings.name, settings.backlog_seconds
        self._namespace, self._region, self._credentials = namespace, region, credentials
        suffix = ".cn" if region.startswith("cn-") else ""
        self._endpoint = settings.cloudwatch_endpoint or f"https://monitoring.{region}.amazonaws.com{suffix}/"

    async def run(self, prepared: asyncio.Event) -> None:
        """Send it again and again, until cancelled. Nothing that fails ends it: jobs run without it."""
        failed = False
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        await prepared.wait()
        async with httpx.AsyncClient(timeout=timeout) as client:
            while True:
                try:
                    await self.send(client)
                    if failed:
                        log.info("backlog_metric_sent_again")
                    failed = False
                except (DatabaseAway, NoCredentialsError, BotoCoreError, httpx.HTTPError, MetricRefusedError) as error:
                    if not failed:
                        log.error("backlog_metric_not_sent", error=type(error).__name__, detail=str(error)[:200])
                    failed = True
                # Spread out, so that of several APIs one is always about to send.
                await asyncio.sleep(self._seconds * random.uniform(0.75, 1.0))  # noqa: S311

    async def send(self, client: httpx.AsyncClient) -> int:
        """Send it once, and return the number of jobs. Raises what `run` catches."""
        jobs = await demand(self._database)
        body = urlencode(
            {
                # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
                "Action": "PutMetricData",
                "Version": "2010-08-01",
                "Namespace": self._namespace,
                "MetricData.member.1.MetricName": METRIC,
                "MetricData.member.1.Dimensions.member.1.Name": DIMENSION,
                "MetricData.member.1.Dimensions.member.1.Value": self._name,
                "MetricData.member.1.Unit": "Count",
                "MetricData.member.1.Value": str(jobs),
            }
        ).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        signed = AWSRequest(method="POST", url=self._endpoint, data=body, headers=headers)
        SigV4Auth(await self._credentials.current(), "monitoring", self._region).add_auth(signed)
        answer = await client.post(self._endpoint, content=body, headers=dict(signed.headers.items()))
        if answer.status_code != 200:
            # Not its text, which repeats what was sent.
            raise MetricRefusedError(f"CloudWatch answered {answer.status_code}")
        return jobs


def backlog_metric(settings: ApiSettings, database: Database) -> BacklogMetric | None:
    """The metric that the settings ask for; None for none."""
    namespace, region = settings.backlog_namespace, settings.backlog_region
    if namespace is None or region is None:
        return None
    return BacklogMetric(settings, database, namespace=namespace, region=region, credentials=AwsCredentials())
