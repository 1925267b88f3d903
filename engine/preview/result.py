"""What a preview found: what would change, what rules say of it, what could not be judged, what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engine.cost.estimate import Estimate

MANDATORY = "mandatory"
GATE = "not-judged"
"""The pack's policy for what a preview cannot judge."""


class Verdict(StrEnum):
    """What CI has to know, the gravest of what holds."""

    CLEAN = "clean"
    CHANGED = "changed"
    VIOLATED = "violated"


@dataclass(frozen=True, order=True)
class Change:
    """One resource that would change. `properties` are paths of inputs; values, which may be secret, are never kept."""

    type: str
    name: str
    urn: str
    action: str
    """`create`, `update`, `replace`, `delete`, or another of the engine's operations."""
    properties: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    """Those of them for whose sake it is replaced."""


@dataclass(frozen=True, order=True)
class Finding:
    """What a rule says of a resource; of the stack where the rule looks at all of it."""

    rule: str
    urn: str
    title: str
    detail: str
    level: str
    """`mandatory` or `advisory`."""

    @property
    def text(self) -> str:
        """What the reader needs; of the gate, whose title is always the same, the detail says it all."""
        return ": ".join(part for part in ("" if self.rule == GATE else self.title, self.detail) if part) or self.title

    @property
    def mandatory(self) -> bool:
        """Whether it alone makes the preview fail."""
        return self.level == MANDATORY

    @property
    def resource(self) -> str:
        """The resource's short type and name."""
        kind, _, name = self.urn.rpartition("::")
        return f"{kind.rpartition(':')[2]} {name}".strip()


@dataclass(frozen=True)
class Policies:
    """The report of the policy pack."""

    pack: str
    """Its name and version."""
    configuration: str
    """The file that configures it, as it was named."""
    findings: Sequence[Finding]
    """Broken rules, mandatory ones first."""
    unlisted: Sequence[Finding]
    """What could not be judged and is not listed as such; mandatory unless the configuration says otherwise."""
    waiting: Mapping[str, int]
    """By rule: how many properties are not judged before the update, and are listed as such."""
    weakened: Mapping[str, str]
    """By rule, or `all`: the level that the configuration gives it where that is not mandatory."""

    @property
    def violations(self) -> list[Finding]:
        """What makes the preview fail."""
        return [each for each in (*self.findings, *self.unlisted) if each.mandatory]

    @property
    def advice(self) -> list[Finding]:
        """What is only told."""
        return [each for each in (*self.findings, *self.unlisted) if not each.mandatory]


@dataclass(frozen=True)
class Result:
    """A preview that was carried through."""

    stack: str
    settings: str
    """The settings file, relative to the checkout where it is inside."""
    deployed: bool
    """Whether it was held against the stack's state; otherwise against an empty one, in which all is new."""
    date: datetime
    counts: Mapping[str, int]
    """The engine's own, by operation: of components and providers too."""
    changes: Sequence[Change]
    """Without components and providers."""
    policies: Policies
    estimate: Estimate
    notices: Sequence[str]
    """What program and providers told."""
    stand_ins: Sequence[str]
    """Providers that were no official ones."""

    @property
    def changed(self) -> int:
        """How many resources would change, as the engine counts."""
        return sum(count for operation, count in self.counts.items() if operation not in ("same", "read", "refresh"))

    @property
    def verdict(self) -> Verdict:
        """The gravest of what holds."""
        if self.policies.violations:
            return Verdict.VIOLATED
        return Verdict.CHANGED if self.changed else Verdict.CLEAN


def summary(counts: Mapping[str, int]) -> str:
    """`3 to create, 1 to update, 12 unchanged`."""
    words = {
        "create": "to create",
        "update": "to update",
        "replace": "to replace",
        "delete": "to delete",
        "import": "to adopt",
        "same": "unchanged",
    }
    parts = [f"{counts[name]} {word}" for name, word in words.items() if counts.get(name)]
    return ", ".join(parts) or "nothing to do"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 violation`, `2 violations`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
