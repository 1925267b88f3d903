"""The kinds of values that settings have: numbers that are no truth values, names, addresses, images."""

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


class Section(BaseModel):
    """A group of settings: fixed once read, and no key that is not listed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _no_truth_value(value: Any) -> Any:
    # pydantic would read `port: true` as 1.
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")
    return value


def _ip_address(value: str) -> str:
    return str(ipaddress.ip_address(value))


def _cidr(value: str) -> str:
    return str(ipaddress.IPv4Network(value))


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what stands twice in a list."""
    if len(set(values)) != len(values):
        raise ValueError("each at most once")
    return values


def by_name(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries in the order of their names, so that their order in a file means nothing."""
    return dict(sorted(entries.items()))


def text(pattern: str, allowed: str, *, longest: int | None = None) -> Any:
    """A text of a pattern, and how errors and the reference say it."""
    return Field(pattern=pattern, max_length=longest, json_schema_extra={"x-allowed": allowed})


LONGEST_NAME = 27
"""Of a team or an agent type: the two make a job template, which is a label's value, where 63 characters are the
most."""

NOT_A_TRUTH_VALUE = BeforeValidator(_no_truth_value)
"""Where a number may be left out it stands after the number's range: before it, the range would be missing in the JSON
Schema."""
WholeNumber = Annotated[int, NOT_A_TRUTH_VALUE]
Number = Annotated[float, NOT_A_TRUTH_VALUE]
Text = Annotated[str, Field(min_length=1)]
IpAddress = Annotated[
    str, AfterValidator(_ip_address), WithJsonSchema({"type": "string", "format": "ip", "title": "IP address"})
]
Cidr = Annotated[
    str,
    AfterValidator(_cidr),
    WithJsonSchema({"type": "string", "x-allowed": "a range of IPv4 addresses, such as 10.20.0.0/16"}),
]
ImageByDigest = Annotated[
    str,
    text(
        r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$",
        "an image by digest, such as registry.example/name@sha256:<64 hexadecimal digits>",
    ),
]
ImageName = Annotated[
    str,
    text(
        r"^[a-z0-9][a-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$",
        "the name of an image, such as registry.example/agent-fleet/runtime:1",
    ),
]
RegistryAddress = Annotated[
    str,
    text(
        r"^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9._-]+)*$",
        "a registry with an optional port and path, such as 127.0.0.1:5001, without https://",
    ),
]
Language = Literal["python", "bash", "node"]

Name = Annotated[
    str,
    text(
        rf"^[a-z]([a-z0-9-]{{0,{LONGEST_NAME - 2}}}[a-z0-9])?$",
        f"a name of up to {LONGEST_NAME} small letters, digits and hyphens, a letter first and no hyphen last",
    ),
]
"""Of a team or an agent type: a DNS label, because Kubernetes objects are called so."""
TenantName = Annotated[
    str,
    text(
        r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "a tenant's name: up to 63 small letters, digits and hyphens, no hyphen first or last",
    ),
]
"""Of a tenant of the API, which on a cluster is a team."""
KubernetesName = Annotated[
    str,
    text(
        r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        "the name of a Kubernetes object: small letters, digits, hyphens and dots",
    ),
]
HostName = Annotated[
    str,
    text(
        r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$",
        "a DNS name, such as fleet.example.com",
        longest=253,
    ),
]
Sha256 = Annotated[str, text(r"^[0-9a-f]{64}$", "64 hexadecimal digits")]
