"""What an EC2 instance is told about itself: its metadata service, version 2, from the process's own network.

With a hop limit of 1 the service's answers do not leave the instance, so a container needs the host's network to hear
them: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html.
"""

import time
from collections.abc import Callable

import httpx

_TOKEN_SECONDS = 21_600
"""The longest that the service gives a token for."""
_TOKEN_MARGIN_SECONDS = 600
_TIMEOUT = httpx.Timeout(2.0, connect=1.0)
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name


class MetadataAwayError(Exception):
    """The metadata service gave no usable answer; the text says which."""


class InstanceMetadata:
    """Questions to the metadata service, each with a token, which is renewed before it ends and when it is refused."""

    def __init__(self, endpoint: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask at `endpoint`, such as http://169.254.169.254; nothing is asked yet. `clock` gives seconds."""
        self._endpoint = endpoint.rstrip("/")
        self._clock = clock
        self._token: str | None = None
        self._token_until = 0.0
        # No proxy from the environment: it would be asked about its own instance.
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def get(self, item: str) -> str | None:
        """Return an item below `latest/meta-data`, or None where there is none. Raises MetadataAwayError."""
        answer = await self._ask(item)
        if answer.status_code == 401:
            # A host that was stopped and started again knows none of its old tokens.
            self._token = None
            answer = await self._ask(item)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise MetadataAwayError(f"{item}: answered with {answer.status_code}")
        return answer.text

    async def _ask(self, item: str) -> httpx.Response:
        token = await self._current_token()
        url = f"{self._endpoint}/latest/meta-data/{item}"
        return await self._send(self._client.build_request("GET", url, headers={_TOKEN_HEADER: token}))

    async def _current_token(self) -> str:
        if self._token is None or self._clock() >= self._token_until:
            asked_at = self._clock()
            headers = {f"{_TOKEN_HEADER}-ttl-seconds": str(_TOKEN_SECONDS)}
            url = f"{self._endpoint}/latest/api/token"
            answer = await self._send(self._client.build_request("PUT", url, headers=headers))
            if answer.status_code != 200 or not answer.text:
                raise MetadataAwayError(f"a token was answered with {answer.status_code}")
            self._token, self._token_until = answer.text, asked_at + _TOKEN_SECONDS - _TOKEN_MARGIN_SECONDS
        return self._token

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request)
        except httpx.HTTPError as error:
            raise MetadataAwayError(
                f"{request.url.path}: {type(error).__name__}; a container hears the metadata service on the host's "
                "network only"
            ) from error
