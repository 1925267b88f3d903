"""The AWS account that keeps the state: clients, and its refusals as sentences."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from engine.errors import UserFacingError
from engine.state_backend.location import StateLocation

_CREDENTIALS = "Give credentials as the AWS tools take them (AWS_PROFILE, AWS_ACCESS_KEY_ID, `aws sso login`)."


def client(service: str, location: StateLocation) -> Any:
    """boto3's client, with the user's own credentials."""
    from boto3.session import Session
    from botocore.config import Config

    # A session of its own: boto3's own one would keep credentials that have changed since.
    return Session().client(
        service,
        region_name=location.region,
        endpoint_url=location.endpoint or None,
        config=Config(
            connect_timeout=10,
            read_timeout=30,
            retries={"total_max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path" if location.endpoint else "auto"},
            **({"proxies": {}} if location.endpoint else {}),
        ),
    )


def code(error: Exception) -> str:
    """AWS's code of a refusal (`NoSuchBucket`, `404`)."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


@contextmanager
def told(doing: str) -> Generator[None]:
    """Turn what AWS refuses, and what keeps AWS from being asked, into an error that users can act on."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        EndpointConnectionError,
        NoCredentialsError,
        SSOError,
        TokenRetrievalError,
    )

    try:
        yield
    except (NoCredentialsError, SSOError, TokenRetrievalError) as error:
        raise UserFacingError(f"There are no AWS credentials with which to {doing}: {error}", _CREDENTIALS) from error
    except ClientError as error:
        said = error.response.get("Error", {}).get("Message") or str(error)
        denied = code(error) in ("AccessDenied", "AccessDeniedException", "403", "Forbidden")
        raise UserFacingError(
            f"AWS refused to {doing}: {code(error)}: {said}",
            "Whoever runs this needs the rights that docs/state.md lists."
            if denied
            else "docs/state.md says what the command makes.",
        ) from error
    except EndpointConnectionError as error:
        raise UserFacingError(
            f"AWS does not answer, to {doing}: {error}", "Check the network and the region."
        ) from error
    except BotoCoreError as error:
        raise UserFacingError(f"AWS could not be asked to {doing}: {error}", _CREDENTIALS) from error
