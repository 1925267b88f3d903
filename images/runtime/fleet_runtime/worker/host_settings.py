"""What a worker reads from its environment about the host that it runs on (prefix FLEET_)."""

from typing import Literal

from pydantic import AliasChoices, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_runtime.doorbell.settings import SECRETS_DIRECTORY


class HostSettings(BaseSettings):
    """Where the host's notices come from, and what is done about them. By default none are looked for."""

    model_config = SettingsConfigDict(
        env_prefix="FLEET_", extra="ignore", hide_input_in_errors=True, secrets_dir=SECRETS_DIRECTORY
    )

    host_notices: Literal["none", "imds"] = "none"
    """`imds`: the metadata service of an EC2 instance, which a container reaches on the host's network only."""
    host_notices_seconds: float = Field(default=5, gt=0, le=30)
    """How often to look; 5 s is what AWS recommends."""
    rebalance: Literal["drain", "ignore"] = "drain"
    """What a rebalance recommendation does. `drain` leaves the host idle until its group replaces it."""
    lifecycle_group: str | None = Field(default=None, min_length=1, max_length=255)
    """The Auto Scaling group of the host."""
    lifecycle_hook: str | None = Field(default=None, min_length=1, max_length=255)
    """The group's hook for instances that terminate, completed when no job is left on the host."""
    launch_hook: str | None = Field(default=None, min_length=1, max_length=255)
    """The group's hook for instances that launch, completed when jobs can run on the host."""
    lifecycle_heartbeat_seconds: float = Field(default=20, gt=0, le=3_600)
    """How often the hook is told that jobs still run; below its own heartbeat timeout, which is 30 s at least."""
    metadata_endpoint: str = Field(
        default="http://169.254.169.254",
        validation_alias=AliasChoices("FLEET_METADATA_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    )
    autoscaling_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("FLEET_AUTOSCALING_ENDPOINT", "AWS_ENDPOINT_URL_AUTO_SCALING")
    )
    """Where EC2 Auto Scaling is; None is the service's own address in the instance's region."""

    @field_validator("metadata_endpoint", "autoscaling_endpoint")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must be a URL of the form http://169.254.169.254")
        return value

    @model_validator(mode="after")
    def _hook_complete(self) -> "HostSettings":
        if (self.lifecycle_group is None) != (self.lifecycle_hook is None):
            raise ValueError(
                "FLEET_LIFECYCLE_GROUP and FLEET_LIFECYCLE_HOOK go together: set both, or neither where no hook waits"
            )
        if self.lifecycle_hook is not None and self.host_notices == "none":
            raise ValueError(
                "FLEET_LIFECYCLE_HOOK needs FLEET_HOST_NOTICES=imds: without it nothing says that the host terminates"
            )
        if self.launch_hook is not None and self.lifecycle_group is None:
            raise ValueError("FLEET_LAUNCH_HOOK needs FLEET_LIFECYCLE_GROUP, whose hook it is: set both, or neither")
        return self
