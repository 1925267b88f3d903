"""What a rule is, and what it finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agent_fleet_policies.resource import Resource, Stack
from agent_fleet_policies.truth import Truth
from agent_fleet_policies.value import Value


class Severity(StrEnum):
    """How bad it is when the rule is broken."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Finding:
    """A requirement at one place: whether it holds, and what to say where it does not."""

    holds: Truth
    message: str
    urn: str = ""
    """The resource, where a rule looks at a whole stack."""


Findings = Iterator[Finding]
Options = Mapping[str, Any]
"""A rule's own settings, every one of them present."""


@dataclass(frozen=True)
class Option:
    """A setting of a rule: its default, and what it means."""

    default: Sequence[str] | float
    meaning: str


@dataclass(frozen=True)
class Rule:
    """One rule. Exactly one of `check` and `check_stack` is there."""

    number: int
    id: str
    severity: Severity
    title: str
    reason: str
    fix: str
    source: str
    types: tuple[str, ...]
    check: Callable[[Resource, Options], Findings] | None = None
    check_stack: Callable[[Stack, Options], Findings] | None = None
    demands: tuple[str, ...] = ()
    """Properties that must be known in a preview, with `*` for any element: unknown is a violation. All others wait for
    the update, and count as not judged until then."""
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])


def require(holds: Truth, at: Value, wanted: str) -> Finding:
    """A requirement on a property: `wanted` says what it has to be."""
    return Finding(holds, f"{at.path or 'the resource'} is {at.shown()}; {wanted}")


def require_of(resource: Resource, holds: Truth, message: str) -> Finding:
    """A requirement on a resource, found while looking at the whole stack."""
    return Finding(holds, message, resource.urn)


def resource_rule(
    number: int,
    rule_id: str,
    severity: Severity,
    *types: str,
    title: str,
    reason: str,
    fix: str,
    source: str,
    demands: tuple[str, ...] = (),
    options: Mapping[str, Option] | None = None,
) -> Callable[[Callable[[Resource, Options], Findings]], Rule]:
    """Makes a function over one resource a rule."""

    def register(check: Callable[[Resource, Options], Findings]) -> Rule:
        return Rule(
            number, rule_id, severity, title, reason, fix, source, types,
            check=check, demands=demands, options=options or {},
        )  # fmt: skip

    return register


def stack_rule(
    number: int,
    rule_id: str,
    severity: Severity,
    *types: str,
    title: str,
    reason: str,
    fix: str,
    source: str,
    demands: tuple[str, ...] = (),
    options: Mapping[str, Option] | None = None,
) -> Callable[[Callable[[Stack, Options], Findings]], Rule]:
    """Makes a function over a whole stack a rule. `types` are what it looks at."""

    def register(check: Callable[[Stack, Options], Findings]) -> Rule:
        return Rule(
            number, rule_id, severity, title, reason, fix, source, types,
            check_stack=check, demands=demands, options=options or {},
        )  # fmt: skip

    return register
