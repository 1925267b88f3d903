"""Where the emulator answers: the provider's `endpoints`, or AWS_ENDPOINT_URL; and only on this machine.

The names are the official provider's: https://www.pulumi.com/registry/packages/aws/api-docs/provider/#endpoints and
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
"""

import ipaddress
import json
import threading
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from engine.standins.type_check import Failure
from engine.standins.values import reveal

VARIABLE = "AWS_ENDPOINT_URL"
_PROVIDER_NAMES = {"elbv2": "elb", "logs": "cloudwatchlogs", "events": "cloudwatchevents"}
"""The services that `endpoints` has under another name than botocore."""
_CREDENTIAL = "stand-in"


class Endpoints:
    """The endpoints that were given, by the provider's name for the service; `""` is that of all others."""

    def __init__(self, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        """`config` are the provider's settings as the engine sends them."""
        given: Any = reveal(config).get("endpoints")
        if isinstance(given, str):
            given = json.loads(given)
        entries = cast(list[Mapping[str, Any]], given if isinstance(given, list) else [given] if given else [])
        self.urls: dict[str, str] = {}
        for entry in entries:
            self.urls |= {name: str(url) for name, url in entry.items() if url}
        if environment.get(VARIABLE):
            self.urls[""] = environment[VARIABLE]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.urls)

    def of(self, service: str) -> str | None:
        """Where a service of botocore's name answers; None for one that has no endpoint."""
        return self.urls.get(_PROVIDER_NAMES.get(service, service)) or self.urls.get("")

    def failures(self) -> list[Failure]:
        """Endpoints that are not on this machine: the stand-in is for none that could be AWS, or anybody's own."""
        return [
            Failure(
                f"endpoints.{name}" if name else VARIABLE,
                f"is {url!r}, which is not on this machine. The aws stand-in makes things only in an emulator at "
                "http://127.0.0.1, http://[::1] or http://localhost; use the official provider plugin for any other.",
            )
            for name, url in sorted(self.urls.items())
            if not _on_this_machine(url)
        ]

    def described(self) -> str:
        """The addresses, for people."""
        return ", ".join(sorted(set(self.urls.values())))


def _on_this_machine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Clients:
    """boto3's clients of the emulator, one for each service and region. Never with the user's own credentials."""

    def __init__(self, endpoints: Endpoints) -> None:
        """Nothing is imported or asked yet."""
        self._endpoints = endpoints
        self._made: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str, region: str) -> Any:
        """The client; None for a service that has no endpoint."""
        url = self._endpoints.of(service)
        if url is None:
            return None
        with self._lock:  # a session's first clients must not be made side by side
            if (service, region) not in self._made:
                # Half a second, which a run without an emulator need not spend.
                import boto3
                from botocore.config import Config

                self._made[service, region] = boto3.client(
                    service,
                    region_name=region,
                    endpoint_url=url,
                    aws_access_key_id=_CREDENTIAL,
                    aws_secret_access_key=_CREDENTIAL,
                    # A proxy would take what is meant for this machine elsewhere.
                    config=Config(
                        proxies={},
                        connect_timeout=5,
                        read_timeout=60,
                        retries={"total_max_attempts": 2, "mode": "standard"},
                        s3={"addressing_style": "path"},
                        parameter_validation=True,
                    ),
                )
            return self._made[service, region]
