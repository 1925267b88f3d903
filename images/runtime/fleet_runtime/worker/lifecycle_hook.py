"""The hook of an Auto Scaling group that an instance waits at before it terminates: kept waiting, and completed.

EC2 Auto Scaling's query protocol, signed by botocore; its whole client needs descriptions of the services, which the
image leaves out: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CompleteLifecycleAction.html.
"""

import re
from typing import Literal
from urllib.parse import urlencode

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from fleet_runtime.doorbell.aws_credentials import AwsCredentials, NoCredentialsError
from fleet_runtime.worker.instance_metadata import InstanceMetadata, MetadataAwayError

API_VERSION = "2011-01-01"
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_NO_ACTION = "No active Lifecycle Action found"

Action = Literal["CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"]


class HookAwayError(Exception):
    """EC2 Auto Scaling did not do it, and may do it at the next try; the text says why."""


class NothingWaitsError(Exception):
    """No instance waits at the hook any more: it was completed, or its time was over."""


class LifecycleHook:
    """One hook of one group, for the instance that this process runs on."""

    def __init__(
        self,
        group: str,
        hook: str,
        *,
        metadata: InstanceMetadata,
        credentials: AwsCredentials,
        endpoint: str | None = None,
    ) -> None:
        """`metadata` says which instance and region it is; `endpoint` is an address other than the region's own."""
        self._names = {"AutoScalingGroupName": group, "LifecycleHookName": hook}
        self._metadata = metadata
        self._credentials = credentials
        self._endpoint = endpoint
        self._client = httpx.AsyncClient(timeout=_TIMEOUT)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def keep_waiting(self) -> None:
        """Begin the hook's heartbeat timeout anew. Raises HookAwayError and NothingWaitsError."""
        await self._call("RecordLifecycleActionHeartbeat", {})

    async def complete(self) -> None:
        """Let the instance terminate. Raises HookAwayError and NothingWaitsError."""
        await self._call("CompleteLifecycleAction", {"LifecycleActionResult": "CONTINUE"})

    async def _call(self, action: Action, arguments: dict[str, str]) -> None:
        try:
            answer = await self._ask(action, arguments)
        except (MetadataAwayError, NoCredentialsError, BotoCoreError, httpx.HTTPError) as error:
            raise HookAwayError(f"{action}: {type(error).__name__}: {error}") from error
        if answer.status_code == 200:
            return
        code, message = _CODE.search(answer.text), _MESSAGE.search(answer.text)
        if message is not None and _NO_ACTION in message[1]:
            raise NothingWaitsError(message[1])
        raise HookAwayError(f"{action}: {answer.status_code} {code[1] if code else 'without a code'}")

    async def _ask(self, action: Action, arguments: dict[str, str]) -> httpx.Response:
        instance, region = await self._known("instance-id"), await self._known("placement/region")
        # China's and the isolated regions have domains of their own.
        url = self._endpoint or f"https://autoscaling.{region}.{await self._known('services/domain')}"
        parameters = {"Action": action, "Version": API_VERSION, **self._names, **arguments, "InstanceId": instance}
        body = urlencode(parameters).encode()
        signed = AWSRequest(
            method="POST",
            url=f"{url.rstrip('/')}/",
            data=body,
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )
        SigV4Auth(await self._credentials.current(), "autoscaling", region).add_auth(signed)
        return await self._client.post(f"{url.rstrip('/')}/", content=body, headers=dict(signed.headers.items()))

    async def _known(self, item: str) -> str:
        found = await self._metadata.get(item)
        if not found:
            raise MetadataAwayError(f"{item}: not known")
        return found.strip()
