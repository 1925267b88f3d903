"""What each role reads from its environment (prefix FLEET_); nothing else in the roles reads the environment.

sandboxd's own settings are in `fleet_runtime.sandboxd.config`.
"""

import secrets
import socket
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fleet_runtime.payload import MAIN_FILES

LogLevel = Literal["debug", "info", "warning", "error"]
TenantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class Listen(BaseModel):
    """An address to listen on, written `host:port`; port 0 takes any free one."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int = Field(ge=0, le=65_535)

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        host, separator, port = value.rpartition(":")
        if not separator or not host or not port.isdecimal():
            raise ValueError(f"{value!r} is not host:port, such as 0.0.0.0:8080")
        return {"host": host.strip("[]"), "port": int(port)}


Address = Annotated[Listen, NoDecode]


class BootstrapKey(BaseModel):
    """An API key that the deployment itself made; only its SHA-256 is known here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: TenantName
    key_id: str = Field(pattern=r"^[0-9a-f]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class CommonSettings(BaseSettings):
    """What every role has."""

    model_config = SettingsConfigDict(env_prefix="FLEET_", extra="ignore", hide_input_in_errors=True)

    log_level: LogLevel = "info"
    name: str = "agent-fleet"


class DatabaseSettings(CommonSettings):
    """What every role with a database connection has."""

    database_url: SecretStr
    database_timeout_seconds: float = Field(default=10.0, gt=0, le=60)
    """How long one statement may take."""

    @field_validator("database_url")
    @classmethod
    def _scheme(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a URL of the form postgresql://user:password@host:5432/database")
        return value


class ApiSettings(DatabaseSettings):
    """The API's settings."""

    api_listen: Address = Listen(host="0.0.0.0", port=8080)  # noqa: S104 - in a container of its own, published by the stack
    metrics_listen: Address = Listen(host="0.0.0.0", port=9090)  # noqa: S104 - on the private network only
    languages: Annotated[tuple[str, ...], NoDecode] = tuple(MAIN_FILES)
    template: str = "default"
    """The sandbox template that `language` jobs run in; workers claim the jobs of theirs."""

    default_timeout_seconds: float = Field(default=60, gt=0)
    max_timeout_seconds: float = Field(default=3_600, gt=0, le=86_400)
    max_attempts: int = Field(default=3, ge=1, le=10)
    """How often the infrastructure may fail a job that does not say so itself."""

    result_ttl_seconds: int = Field(default=86_400, ge=1)
    tombstone_ttl_seconds: int = Field(default=604_800, ge=0)
    """How long after its result's expiry a job still answers 410 rather than 404."""

    queue_limit: int = Field(default=10_000, ge=1)
    """Queued jobs of one tenant; above it, 429."""

    bootstrap_keys: tuple[BootstrapKey, ...] = ()
    key_cache_seconds: float = Field(default=1.0, ge=0, le=2)
    """How long a key's state may be remembered: a revoked key is refused after this time at the latest."""

    sweep_seconds: float = Field(default=5, gt=0)
    lease_renew_seconds: float = Field(default=10, gt=0)
    database_connections: int = Field(default=8, ge=2, le=100)
    drain_seconds: float = Field(default=10, ge=0)
    """After SIGTERM, how long open requests may take to end."""

    @field_validator("languages", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("languages")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [language for language in value if language not in MAIN_FILES]
        if unknown or not value:
            raise ValueError(
                f"must be one or more of {', '.join(MAIN_FILES)}; not known: {', '.join(unknown) or 'none given'}"
            )
        return value

    @model_validator(mode="after")
    def _default_within_maximum(self) -> "ApiSettings":
        if self.default_timeout_seconds > self.max_timeout_seconds:
            raise ValueError(
                f"FLEET_DEFAULT_TIMEOUT_SECONDS ({self.default_timeout_seconds:g}) is above "
                f"FLEET_MAX_TIMEOUT_SECONDS ({self.max_timeout_seconds:g}); lower the first or raise the second"
            )
        return self


def _worker_id() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


class WorkerSettings(DatabaseSettings):
    """The worker's settings."""

    metrics_listen: Address = Listen(host="0.0.0.0", port=9090)  # noqa: S104 - on the private network only
    sandboxd_socket: str = "/run/fleet/sandboxd.sock"
    template: str = "default"
    concurrency: int = Field(default=4, ge=1, le=1_000)
    lease_seconds: float = Field(default=30, gt=0)
    lease_renew_seconds: float = Field(default=10, gt=0)
    sweep_seconds: float = Field(default=5, gt=0)
    poll_seconds: float = Field(default=1, gt=0, le=2)
    """How often to look for work and for cancelled jobs where no doorbell rang; a cancel must be seen within 2 s."""

    heartbeat_seconds: float = Field(default=5, gt=0, le=5)
    drain_seconds: float = Field(default=60, ge=0)
    worker_id: str = Field(default_factory=_worker_id)

    @model_validator(mode="after")
    def _renewed_in_time(self) -> "WorkerSettings":
        if self.lease_renew_seconds * 2 > self.lease_seconds:
            raise ValueError(
                f"FLEET_LEASE_RENEW_SECONDS ({self.lease_renew_seconds:g}) must be at most half of "
                f"FLEET_LEASE_SECONDS ({self.lease_seconds:g}), so that one renewal may fail"
            )
        return self
