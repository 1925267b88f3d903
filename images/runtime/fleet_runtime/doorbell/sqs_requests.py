"""Requests to SQS: signed, over connections that are kept, and with a time limit each."""

import json
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from fleet_runtime.doorbell.aws_credentials import AwsCredentials

_ANSWER_SECONDS = 10.0
_CONNECT_SECONDS = 5.0


class SqsError(Exception):
    """SQS refused a request."""


class SqsRequests:
    """SQS's JSON protocol: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html."""

    def __init__(self, region: str, credentials: AwsCredentials) -> None:
        """Sign for `region`; connect when entered."""
        self._region = region
        self._credentials = credentials
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS))

    async def __aenter__(self) -> "SqsRequests":
        """Nothing to do: connections are made as they are needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self, action: str, queue_url: str, arguments: dict[str, Any], *, waits_seconds: float = 0
    ) -> dict[str, Any]:
        """Do `action` on a queue. `waits_seconds` is how long SQS may hold the answer back.

        Raises SqsError, httpx.HTTPError, and what botocore raises where there are no credentials.
        """
        parts = urlsplit(queue_url)
        # An emulator's queue has its host in the URL as well, so that no second setting says where to send.
        endpoint = f"{parts.scheme}://{parts.netloc}/"
        body = json.dumps({"QueueUrl": queue_url, **arguments}).encode()
        signed = AWSRequest(
            method="POST",
            url=endpoint,
            data=body,
            headers={"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"},
        )
        SigV4Auth(await self._credentials.current(), "sqs", self._region).add_auth(signed)
        answer = await self._client.post(
            endpoint,
            content=body,
            headers=dict(signed.headers.items()),
            timeout=httpx.Timeout(waits_seconds + _ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        )
        if answer.status_code != 200:
            raise SqsError(f"{action}: {answer.status_code} {_code(answer)}")
        return answer.json()


def _code(answer: httpx.Response) -> str:
    """SQS's name for what was wrong, without its text, which repeats what was sent."""
    try:
        return str(answer.json()["__type"]).rpartition("#")[2]
    except (ValueError, KeyError, TypeError):
        return "without a code"
