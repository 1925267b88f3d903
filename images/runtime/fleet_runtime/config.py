"""What each role reads from its environment (prefix FLEET_); nothing else in the roles reads the environment.

sandboxd's own settings are in `fleet_runtime.sandboxd.config`.
"""

import re
import secrets
import socket
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fleet_runtime.api.backlog_settings import BacklogSettings
from fleet_runtime.doorbell.settings import SECRETS_DIRECTORY, DoorbellSettings
from fleet_runtime.payload import MAIN_FILES
from fleet_runtime.pool_settings import Agent, AgentType, Pool, TenantName
from fleet_runtime.worker.host_settings import HostSettings

_COLLECTOR = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
LogLevel = Literal["debug", "info", "warning", "error"]


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


class TenantBudget(BaseModel):
    """What one tenant may use; a limit that is left out is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: TenantName
    max_concurrent: int | None = Field(default=None, ge=1, le=100_000)
    """Jobs that run at once, over all pools."""
    jobs_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    """Jobs that begin: so many at once after a quiet minute, and so many a minute in the long run."""
    jobs_per_day: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Jobs that begin on one day (UTC)."""
    cpu_seconds_per_day: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Processor time of jobs that end on one day (UTC). Jobs that run when it is used up run on."""


class CommonSettings(BaseSettings):
    """What every role has."""

    model_config = SettingsConfigDict(
        env_prefix="FLEET_", extra="ignore", hide_input_in_errors=True, secrets_dir=SECRETS_DIRECTORY
    )

    log_level: LogLevel = "info"
    name: str = "agent-fleet"
    otlp_endpoint: str | None = None
    """The collector that spans go to, by OTLP over HTTP; `/v1/traces` is added. None: no spans are made."""

    @field_validator("otlp_endpoint")
    @classmethod
    def _collector(cls, value: str | None) -> str | None:
        if value is not None and not _COLLECTOR.fullmatch(value):
            raise ValueError("must be a URL of the form http://collector:4318, without user, password or query")
        return value


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


class ApiSettings(DatabaseSettings, DoorbellSettings, BacklogSettings):
    """The API's settings."""

    api_listen: Address = Listen(host="0.0.0.0", port=8080)  # noqa: S104 - in a container of its own, published by the stack
    metrics_listen: Address = Listen(host="0.0.0.0", port=9090)  # noqa: S104 - on the private network only
    languages: Annotated[tuple[str, ...], NoDecode] = tuple(MAIN_FILES)
    template: str = "default"
    """The sandbox template that `language` jobs run in; workers claim the jobs of theirs."""

    tenant: TenantName | None = None
    """Pins the API to one tenant: keys of others are refused."""
    agent_type: AgentType | None = None
    """Pins the API to one agent type: a request whose header names another is refused."""
    pools: tuple[Pool, ...] = ()
    """The pools that this API routes to; empty where all jobs run in `template`."""
    agents: tuple[Agent, ...] = ()
    """The agent types that it routes to beside `template`, for every tenant; these have workspaces."""

    default_timeout_seconds: float = Field(default=60, gt=0)
    max_timeout_seconds: float = Field(default=3_600, gt=0, le=86_400)
    max_attempts: int = Field(default=3, ge=1, le=10)
    """How often the infrastructure may fail a job that does not say so itself."""

    result_ttl_seconds: int = Field(default=86_400, ge=1)
    tombstone_ttl_seconds: int = Field(default=604_800, ge=0)
    """How long after its result's expiry a job still answers 410 rather than 404."""

    queue_limit: int = Field(default=10_000, ge=1)
    """Queued jobs of one tenant in one pool; above it, 429."""

    large_bodies: int = Field(default=4, ge=1, le=1_000)
    """Bodies above a megabyte that are held at once; each takes about 90 MB while it is read."""

    output_streams: int = Field(default=256, ge=1, le=10_000)
    """Outputs that are followed live at once in this process; above it, 503. Each takes up to about 200 KB."""
    output_streams_per_tenant: int = Field(default=64, ge=1, le=10_000)
    """Those of one tenant; above it, 429."""

    bootstrap_keys: tuple[BootstrapKey, ...] = ()
    unlisted_key_seconds: float = Field(default=60, ge=1)
    """How long a bootstrap key is valid after the last API listed it.

    Where APIs are replaced one by one, an old one that restarts does not list the newest keys, so it must not revoke
    them; the others list them again and again.
    """
    tenant_budgets: tuple[TenantBudget, ...] | None = None
    """The budgets that the deployment itself sets, for exactly these tenants; left out, it sets and takes away none."""
    key_cache_seconds: float = Field(default=1.0, ge=0, le=2)
    """How long a key's state may be remembered: a revoked key is refused after this time at the latest."""

    sweep_seconds: float = Field(default=5, gt=0)
    stranded_seconds: float = Field(default=3_600, ge=60)
    """How long after a pool was removed its queued jobs wait for it to come back, where no other pool takes them."""

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

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates that jobs may be sent to, each once."""
        pools = tuple(dict.fromkeys(pool.template for pool in self.pools))
        return pools or tuple(dict.fromkeys((self.template, *(agent.template for agent in self.agents))))

    @property
    def pinned(self) -> bool:
        """Whether this API serves one pool beside an API for all, which then is the one that keeps the keys."""
        return self.tenant is not None or self.agent_type is not None

    @model_validator(mode="after")
    def _one_way_to_route(self) -> "ApiSettings":
        if self.pinned and self.pools:
            raise ValueError(
                "FLEET_POOLS goes with neither FLEET_TENANT nor FLEET_AGENT_TYPE: an API serves one pool or all of them"
            )
        if self.pinned and self.bootstrap_keys:
            raise ValueError(
                "FLEET_BOOTSTRAP_KEYS goes with neither FLEET_TENANT nor FLEET_AGENT_TYPE: keys that it does not list "
                "would be refused everywhere; give it to the fleet's own API only"
            )
        if self.pinned and self.tenant_budgets is not None:
            raise ValueError(
                "FLEET_TENANT_BUDGETS goes with neither FLEET_TENANT nor FLEET_AGENT_TYPE: tenants that it does not "
                "list would lose their limits everywhere; give it to the fleet's own API only"
            )
        budgets = [budget.tenant for budget in self.tenant_budgets or ()]
        for tenant in budgets:
            if budgets.count(tenant) > 1:
                raise ValueError(f"FLEET_TENANT_BUDGETS has tenant {tenant!r} more than once")
        if self.agents and (self.pools or self.pinned):
            raise ValueError(
                "FLEET_AGENTS goes with neither FLEET_POOLS, FLEET_TENANT nor FLEET_AGENT_TYPE: there the pools are "
                "the agent types"
            )
        types = [agent.agent_type for agent in self.agents]
        for agent_type in types:
            if types.count(agent_type) > 1:
                raise ValueError(f"FLEET_AGENTS has agent_type {agent_type!r} more than once")
        names = [(pool.tenant, pool.agent_type) for pool in self.pools]
        defaults = [pool.tenant for pool in self.pools if pool.default]
        for tenant, agent_type in names:
            if names.count((tenant, agent_type)) > 1:
                raise ValueError(f"FLEET_POOLS has tenant {tenant!r} with agent_type {agent_type!r} more than once")
            if defaults.count(tenant) > 1:
                raise ValueError(f"FLEET_POOLS has more than one default for tenant {tenant!r}; mark one at most")
        return self

    @model_validator(mode="after")
    def _default_within_maximum(self) -> "ApiSettings":
        if self.default_timeout_seconds > self.max_timeout_seconds:
            raise ValueError(
                f"FLEET_DEFAULT_TIMEOUT_SECONDS ({self.default_timeout_seconds:g}) is above "
                f"FLEET_MAX_TIMEOUT_SECONDS ({self.max_timeout_seconds:g}); lower the first or raise the second"
            )
        return self


class WorkerSettings(DatabaseSettings, DoorbellSettings, HostSettings):
    """The worker's settings."""

    metrics_listen: Address = Listen(host="0.0.0.0", port=9090)  # noqa: S104 - on the private network only
    sandbox_backend: Literal["socket", "kubernetes"] = "socket"
    """Where jobs run: at the sandboxd behind `sandboxd_socket`, or in pods, as sandboxd/kubernetes_config.py says."""
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
    worker_id: str = Field(default_factory=socket.gethostname, validate_default=True, min_length=1, max_length=253)
    """Names the host or pod; each process adds a random part, so that one that restarts holds nothing of the last."""

    @field_validator("worker_id")
    @classmethod
    def _of_this_process(cls, value: str) -> str:
        return f"{value}-{secrets.token_hex(4)}"

    @model_validator(mode="after")
    def _renewed_in_time(self) -> "WorkerSettings":
        if self.lease_renew_seconds * 2 > self.lease_seconds:
            raise ValueError(
                f"FLEET_LEASE_RENEW_SECONDS ({self.lease_renew_seconds:g}) must be at most half of "
                f"FLEET_LEASE_SECONDS ({self.lease_seconds:g}), so that one renewal may fail"
            )
        return self

    @model_validator(mode="after")
    def _host_of_sandboxes(self) -> "WorkerSettings":
        if self.host_notices != "none" and self.sandbox_backend == "kubernetes":
            raise ValueError(
                "FLEET_HOST_NOTICES goes with FLEET_SANDBOX_BACKEND=socket only: in a cluster the node's own agent "
                "drains its pods; leave it out"
            )
        return self
