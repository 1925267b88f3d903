"""Where a pool's jobs may go: the domains, what the proxy adds on the way, and how much may pass."""

from typing import Annotated

from pydantic import AfterValidator, Field

from settings.values import Cidr, HostName, Section, Text, WholeNumber, by_name, distinct, text

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

Domain = Annotated[
    str,
    text(
        rf"^(\*\.)?({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])$",
        "a domain in small letters, such as api.example.com, or *. before one for all below it, and no address",
        longest=253,
    ),
]
HeaderName = Annotated[
    str, text(r"^[A-Za-z][A-Za-z0-9-]{0,63}$", "the name of a header, such as Authorization or x-api-key")
]


class EgressCredential(Section):
    """A header that the proxy adds to requests to this domain, so that no sandbox holds it. Jobs reach the domain as
    `http://<domain>/…`, which the proxy sends over TLS."""

    header: HeaderName
    """The header. A job's own header of that name is dropped."""
    value: Text
    """All of its value, `Bearer ` included where there is one. Set it with `pulumi config set --secret`."""


class Egress(Section):
    """Domains that jobs may reach through the egress proxy, over TLS alone. Without any, a sandbox reaches nothing."""

    domains: Annotated[tuple[Domain, ...], AfterValidator(distinct)] = ()
    """The domains. Whoever runs one of them can be told all that a job knows."""
    credentials: Annotated[
        dict[HostName, EgressCredential], AfterValidator(by_name), Field(json_schema_extra={"x-name": "domain"})
    ] = Field(default={})
    """Headers by the domains that they are for, each of which is in `domains` by its full name."""
    connections: WholeNumber = Field(default=16, ge=1, le=1_024)
    """Connections that one job may have at once."""
    job_mebibytes: WholeNumber = Field(default=1_024, ge=1, le=1_048_576)
    """What one job may send and receive."""
    tenant_daily_mebibytes: WholeNumber = Field(default=10_240, ge=1, le=1_073_741_824)
    """What one tenant's jobs may send and receive in a day of UTC."""
    tenant_daily_requests: WholeNumber = Field(default=100_000, ge=1, le=1_000_000_000)
    """Requests and connections of one tenant's jobs in a day of UTC, refused ones included."""
    refused_networks: Annotated[tuple[Cidr, ...], AfterValidator(distinct)] = ()
    """Public networks that no domain may lead to, such as that of this host. Private ones are refused anyway."""
