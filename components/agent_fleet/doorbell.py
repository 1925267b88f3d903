"""Which doorbell the fleet's programs ring, and what they are told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import pulumi


class DoorbellArgs(TypedDict):
    """Another doorbell than PostgreSQL's, which needs none of this."""

    kind: str
    """`redis` or `sqs`."""
    url: pulumi.Input[str]
    """Of the Redis, with its user and password: a secret. Or of the SQS queue, where `{template}` stands for the name
    of the template that it is for."""


@dataclass(frozen=True, kw_only=True)
class DoorbellVariables:
    """The variables of a program that rings or listens."""

    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])


def doorbell_variables(doorbell: DoorbellArgs | None) -> DoorbellVariables:
    """What API and worker are told; nothing for PostgreSQL's. Raises ValueError for a kind that there is not."""
    if doorbell is None:
        return DoorbellVariables()
    kind = doorbell["kind"]
    if kind == "redis":
        return DoorbellVariables(environment={"FLEET_DOORBELL": kind}, secrets={"FLEET_REDIS_URL": doorbell["url"]})
    if kind == "sqs":
        return DoorbellVariables(environment={"FLEET_DOORBELL": kind, "FLEET_SQS_QUEUE_URL": doorbell["url"]})
    raise ValueError(f"doorbell.kind is {kind!r}; allowed are redis and sqs, and no doorbell at all for PostgreSQL's")
