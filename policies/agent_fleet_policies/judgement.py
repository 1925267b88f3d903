"""Holds resources against rules: what is broken, and what cannot be judged yet."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from agent_fleet_policies.resource import Resource, Stack, kind
from agent_fleet_policies.rule import Finding, Rule
from agent_fleet_policies.settings import RuleSettings
from agent_fleet_policies.truth import Truth


@dataclass(frozen=True)
class Verdict:
    """Something about one resource under one rule."""

    rule: Rule
    urn: str
    message: str


@dataclass(frozen=True)
class Violation(Verdict):
    """The rule is broken."""


@dataclass(frozen=True)
class NotJudged(Verdict):
    """Whether the rule is broken depends on properties that only a deployment knows."""

    type: str
    paths: tuple[str, ...]


class Judge:
    """Rules with their settings."""

    def __init__(self, rules: Sequence[Rule], settings: Mapping[str, RuleSettings], today: Callable[[], date]) -> None:
        """`settings` by the rules' ids, complete; `today` decides which exceptions have expired."""
        self._settings = settings
        self._today = today
        self._by_kind: dict[str, list[Rule]] = {}
        self._of_stacks: list[Rule] = []
        for rule in rules:
            if rule.check_stack is not None:
                self._of_stacks.append(rule)
                continue
            for name in {kind(each) for each in rule.types}:
                self._by_kind.setdefault(name, []).append(rule)

    def resource(self, resource: Resource) -> Iterator[Verdict]:
        """What the rules for its type say of one resource."""
        for rule in self._by_kind.get(kind(resource.type), ()):
            assert rule.check is not None  # noqa: S101 - the other ones are the stack's
            options = self._settings[rule.id].options
            yield from self._verdicts(rule, rule.check(resource, options), {resource.urn: resource}, resource)

    def stack(self, stack: Stack) -> Iterator[Verdict]:
        """What the rules for stacks say."""
        for rule in self._of_stacks:
            assert rule.check_stack is not None  # noqa: S101 - chosen by it
            options = self._settings[rule.id].options
            yield from self._verdicts(rule, rule.check_stack(stack, options), stack.by_urn, None)

    def _verdicts(
        self, rule: Rule, findings: Iterable[Finding], resources: Mapping[str, Resource], only: Resource | None
    ) -> Iterator[Verdict]:
        """Verdicts of one rule, each once. A rule that fails on what it is given has not judged it, which is said."""
        said: set[tuple[str, str]] = set()
        waiting: dict[str, set[str]] = {}
        for urn, truth, message in _guarded(findings, only.urn if only else ""):
            resource = resources.get(urn)
            if truth.yes or (urn, message) in said:
                continue
            said.add((urn, message))
            if truth.no:
                yield from self._violation(rule, urn, resource, message)
                continue
            demanded = sorted(path for path in truth.causes if self._settings[rule.id].demanded(path))
            if demanded:
                text = f"{', '.join(demanded)} is unknown in the preview, and has to be known there"
                yield from self._violation(rule, urn, resource, text)
            else:
                waiting.setdefault(urn, set()).update(truth.causes)
        for urn, paths in waiting.items():
            if self._waiver(rule, urn, resources.get(urn)) is None:
                which = tuple(sorted(paths))
                message = f"not judged before the update: {', '.join(which)} is unknown"
                resource = resources.get(urn)
                yield NotJudged(rule, urn, message, resource.type if resource else "", which)

    def _violation(self, rule: Rule, urn: str, resource: Resource | None, message: str) -> Iterator[Verdict]:
        expired = ""
        for waiver in self._settings[rule.id].waivers:
            if waiver.covers(urn, resource.name if resource else ""):
                if self._today() <= waiver.expires:
                    return
                expired = f" (the exception for it expired on {waiver.expires.isoformat()}: {waiver.reason})"
        yield Violation(rule, urn, message + expired)

    def _waiver(self, rule: Rule, urn: str, resource: Resource | None) -> str | None:
        for waiver in self._settings[rule.id].waivers:
            if waiver.covers(urn, resource.name if resource else "") and self._today() <= waiver.expires:
                return waiver.reason
        return None


def _guarded(findings: Iterable[Finding], urn: str) -> Iterator[tuple[str, Truth, str]]:
    """Findings one by one. A rule's own fault is one as well: it must neither end the preview nor pass for clean."""
    walk = iter(findings)
    while True:
        try:
            each = next(walk)
        except StopIteration:
            return
        except Exception as error:
            yield urn, Truth(False), f"the rule failed on this resource ({type(error).__name__}): report it"
            return
        yield each.urn or urn, each.holds, each.message
