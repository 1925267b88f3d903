"""What a role reads from its environment about the doorbell (prefix FLEET_)."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_TEMPLATE = "{template}"
_SECRETS = Path("/run/secrets")
SECRETS_DIRECTORY = _SECRETS if _SECRETS.is_dir() else None
"""Where Docker Compose mounts secrets: a file there named like a variable counts where the variable is not set."""
_REGION_IN_HOST = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-[0-9])\.")


class DoorbellSettings(BaseSettings):
    """Which doorbell there is, and where; PostgreSQL's needs nothing beside the database."""

    model_config = SettingsConfigDict(
        env_prefix="FLEET_", extra="ignore", hide_input_in_errors=True, secrets_dir=SECRETS_DIRECTORY
    )

    doorbell: Literal["postgres", "redis", "sqs"] = "postgres"
    redis_url: SecretStr | None = None
    """`redis://user:password@host:6379`, or `rediss://` for TLS."""
    sqs_queue_url: str | None = None
    """The queue's URL, whose host is also where the requests go. `{template}` in it stands for a template's name: each
    template has a queue of its own then, and no worker hears the rings of another's."""
    sqs_region: str | None = Field(
        default=None, validation_alias=AliasChoices("FLEET_SQS_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
    )
    """For requests' signatures, where the URL does not name the region."""

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must be a URL of the form redis://user:password@host:6379 (rediss:// for TLS)")
        return value

    @field_validator("sqs_queue_url")
    @classmethod
    def _queue_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or len(parts.path) < 2:
            raise ValueError("must be a queue's URL, such as https://sqs.eu-west-1.amazonaws.com/<account>/<name>")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "DoorbellSettings":
        needed = {"postgres": None, "redis": self.redis_url, "sqs": self.sqs_queue_url}
        names = {"redis": "FLEET_REDIS_URL", "sqs": "FLEET_SQS_QUEUE_URL"}
        if self.doorbell != "postgres" and needed[self.doorbell] is None:
            raise ValueError(
                f"FLEET_DOORBELL is {self.doorbell} and {names[self.doorbell]} is not set: set it, or leave "
                "FLEET_DOORBELL out for PostgreSQL's"
            )
        if self.doorbell == "sqs" and self.queue_region is None:
            raise ValueError(
                "FLEET_DOORBELL is sqs and FLEET_SQS_QUEUE_URL names no region, as sqs.<region>.amazonaws.com does: "
                "set AWS_REGION"
            )
        return self

    @property
    def queue_region(self) -> str | None:
        """The region that the queue's requests are signed for: the URL's, or else the one that is set."""
        found = _REGION_IN_HOST.search(urlsplit(self.sqs_queue_url or "").hostname or "")
        return found[1] if found else self.sqs_region


def queue_url_of(url: str, template: str) -> str:
    """The URL of a template's queue."""
    return url.replace(_TEMPLATE, template)


def queue_per_template(url: str) -> bool:
    """Whether each template has a queue of its own."""
    return _TEMPLATE in url
