"""What the API reads from its environment about the metric that a fleet's hosts are scaled by (prefix FLEET_)."""

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_runtime.doorbell.settings import SECRETS_DIRECTORY


class BacklogSettings(BaseSettings):
    """Where CloudWatch is told how many jobs there are. By default it is told nothing."""

    model_config = SettingsConfigDict(
        env_prefix="FLEET_", extra="ignore", hide_input_in_errors=True, secrets_dir=SECRETS_DIRECTORY
    )

    backlog_namespace: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._/#-]{1,255}$")
    """The namespace of the metric `Backlog`, whose dimension `Fleet` is the fleet's name. None: no metric is sent."""
    backlog_region: str | None = Field(
        default=None, validation_alias=AliasChoices("FLEET_BACKLOG_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")
    )
    """The region of the metric."""
    backlog_seconds: float = Field(default=30, ge=1, le=60)
    """How often it is sent; alarms look at minutes."""
    cloudwatch_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("FLEET_CLOUDWATCH_ENDPOINT", "AWS_ENDPOINT_URL_CLOUDWATCH")
    )
    """Where CloudWatch is; None is the service's own address in the region."""

    @model_validator(mode="after")
    def _complete_backlog(self) -> "BacklogSettings":
        if self.backlog_namespace is not None and self.backlog_region is None:
            raise ValueError("FLEET_BACKLOG_NAMESPACE is set and no region is: set AWS_REGION, or leave both out")
        return self
