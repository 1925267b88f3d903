"""AWS credentials of this process: botocore's own providers, without the rest of botocore."""

import asyncio
import contextlib
from typing import Any

from botocore.credentials import ContainerProvider, CredentialResolver, EnvProvider, InstanceMetadataProvider
from botocore.exceptions import MetadataRetrievalError
from botocore.utils import InstanceMetadataFetcher

METADATA_ENDPOINT = "http://169.254.169.254/"
_METADATA_SECONDS = 1
_METADATA_ATTEMPTS = 2


class NoCredentialsError(Exception):
    """None of the places that are looked at has any."""


class AwsCredentials:
    """Those of the environment, of the container's endpoint (EKS Pod Identity, ECS), or of the instance, by IMDSv2.

    In that order. They are fetched and renewed in a thread: botocore blocks while it asks for them.
    """

    def __init__(self, metadata_endpoint: str = METADATA_ENDPOINT) -> None:
        """Look when first asked."""
        fetcher = InstanceMetadataFetcher(
            timeout=_METADATA_SECONDS,
            num_attempts=_METADATA_ATTEMPTS,
            base_url=metadata_endpoint,
            # Version 2 asks for a token first, which a request that somebody was tricked into cannot.
            config={"ec2_metadata_v1_disabled": True},
        )
        self._resolver: Any = CredentialResolver(
            [EnvProvider(), ContainerProvider(), InstanceMetadataProvider(iam_role_fetcher=fetcher)]
        )
        self._found: Any = None

    async def current(self) -> Any:
        """Credentials that are good now. Raises NoCredentialsError, and botocore's errors where a renewal fails."""
        return await asyncio.to_thread(self._current)

    def _current(self) -> Any:
        if self._found is None:
            # No metadata service, or one that knows no role, is reported as an error of its own.
            with contextlib.suppress(MetadataRetrievalError):
                self._found = self._resolver.load_credentials()
        if self._found is None:
            raise NoCredentialsError(
                "no AWS credentials: neither in the environment (AWS_ACCESS_KEY_ID), nor from a container's endpoint "
                "(EKS Pod Identity), nor from the instance's metadata"
            )
        return self._found.get_frozen_credentials()
