"""What the egress role is told by its environment: whom it lets where, with which credentials, and how much."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fleet_runtime.config import Address, Listen
from fleet_runtime.egress.addresses import Network
from fleet_runtime.egress.domains import DomainList

_HEADER = r"^[A-Za-z][A-Za-z0-9-]{0,63}$"
_HOP_BY_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "expect"})


class Credential(BaseModel):
    """A header that the proxy adds to requests to one domain."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    header: Annotated[str, Field(pattern=_HEADER)]
    value: SecretStr
    """All of the header's value, `Bearer ` included where there is one."""

    @field_validator("header")
    @classmethod
    def _own_header(cls, header: str) -> str:
        if header.lower() in _HOP_BY_HOP:
            raise ValueError("this header is the proxy's own")
        return header.lower()

    @field_validator("value")
    @classmethod
    def _printable(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if not 8 <= len(text) <= 8192 or any(not " " <= letter <= "~" for letter in text) or text != text.strip():
            raise ValueError("it must be 8 to 8192 printable ASCII characters without spaces around them")
        return value


class Policy(BaseModel):
    """What the sandboxes of one template may reach."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: Annotated[tuple[str, ...], Field(min_length=1)]
    connections: Annotated[int, Field(ge=1, le=1024, description="Of one job, at once.")] = 16
    job_bytes: Annotated[int, Field(ge=1, description="Sent and received by one job.")] = 1024**3

    @field_validator("domains")
    @classmethod
    def _are_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        DomainList(domains)
        return domains


class EgressSettings(BaseSettings):
    """The environment of the egress role, each with the prefix FLEET_."""

    model_config = SettingsConfigDict(env_prefix="FLEET_", extra="ignore", frozen=True, hide_input_in_errors=True)

    name: str = "agent-fleet"
    log_level: str = "info"
    egress_socket: Path = Path("/run/fleet/egress.sock")
    """Where sandboxd listens for the proxy."""
    egress_sandboxd_uid: int = Field(default=0, ge=0)
    """The user ID that must be at the other end."""
    egress_listen: Address = Listen(host="127.0.0.1", port=9090)
    """Metrics and health."""
    egress_policies: dict[str, Policy] = Field(min_length=1)
    """By template."""
    egress_credentials: dict[str, dict[str, Credential]] = {}
    """By template, then by domain."""
    egress_tenant_daily_bytes: int = Field(default=10 * 1024**3, ge=1)
    egress_tenant_daily_requests: int = Field(default=100_000, ge=1)
    """Connections and requests, refused ones included."""
    egress_refused_networks: str = ""
    """Networks that no name may lead to, beside all that are not public; separated by commas."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for template, credentials in self.egress_credentials.items():
            policy = self.egress_policies.get(template)
            for domain in credentials:
                if policy is None or not DomainList(policy.domains).names(domain):
                    raise ValueError(
                        f"egress_credentials has {domain} for template {template}, whose domains do not name it"
                    )
        _ = self.refused_networks
        return self

    @property
    def refused_networks(self) -> tuple[Network, ...]:
        """The fleet's and its host's own."""
        return tuple(ip_network(text.strip()) for text in self.egress_refused_networks.split(",") if text.strip())
