"""Where a stack's state is on S3, and under which key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from engine import configuration
from engine.errors import UserFacingError
from engine.paths import Paths

DEFAULT_REGION = "eu-west-1"
"""As the settings have it (settings/aws_model.py)."""


@dataclass(frozen=True)
class StateLocation:
    """A bucket, its region, and the endpoint of an emulator where AWS is not meant."""

    bucket: str
    region: str
    endpoint: str = ""

    @property
    def alias(self) -> str:
        """The key's alias: it is found by the bucket's name."""
        return f"alias/{self.bucket}"

    @property
    def backend_url(self) -> str:
        """What `pulumi login` takes. SDK v2 knows single sign-on; only v1 takes an emulator's address."""
        return f"s3://{self.bucket}?{self._query({'s3ForcePathStyle': 'true'})}"

    @property
    def secrets_provider(self) -> str:
        """What `pulumi stack init --secrets-provider` takes."""
        return f"awskms:///{self.alias}?{self._query({})}"

    def _query(self, of_emulator: Mapping[str, str]) -> str:
        if self.endpoint:
            given = {"region": self.region, "awssdk": "v1", "endpoint": self.endpoint, "disableSSL": "true"}
            return urlencode({**given, **of_emulator})
        return urlencode({"region": self.region, "awssdk": "v2"})


def emulator() -> str:
    """The endpoint of an emulator on this machine, from AWS_ENDPOINT_URL; empty where AWS is meant."""
    if not os.environ.get("AWS_ENDPOINT_URL"):
        return ""
    # The emulator's rules come with the providers' protocol, which other commands need not load.
    from engine.standins.aws_emulator.endpoint import VARIABLE, Endpoints

    endpoints = Endpoints({}, os.environ)
    if endpoints.failures():
        raise UserFacingError(
            f"{VARIABLE} is {endpoints.urls['']!r}; allowed is an emulator on this machine, http://127.0.0.1:<port>.",
            f"Unset {VARIABLE} to keep the state in AWS.",
        )
    return endpoints.urls.get("", "")


def of_settings(settings: Mapping[str, Any]) -> StateLocation | None:
    """Where a stack's settings say that its state is; None where it stays beside the project."""
    aws = settings.get("aws")
    bucket = aws.get("state_bucket") if isinstance(aws, Mapping) else None
    return StateLocation(str(bucket), region(settings), emulator()) if bucket else None


def region(settings: Mapping[str, Any]) -> str:
    """The region of a stack."""
    aws = settings.get("aws")
    return str((aws.get("region") if isinstance(aws, Mapping) else None) or DEFAULT_REGION)


def of_stack(paths: Paths, stack: str, given: Path | None = None) -> StateLocation | None:
    """Where a stack's state is by the settings file: the one given, else the tracked one, else the copy of it."""
    for path in (given, paths.tracked_configuration(stack), paths.configuration(stack)):
        if path is not None and path.is_file():
            try:
                return of_settings(configuration.fleet_settings(path))
            except UserFacingError:
                continue  # what is no YAML any more must not keep a fleet from being removed
    return None
