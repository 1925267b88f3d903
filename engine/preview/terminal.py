"""A preview's policy report and verdict, as a terminal shows them."""

import textwrap
from collections.abc import Iterator

from engine.preview.result import Finding, Policies, Result, Verdict, counted, summary

_WIDTH = 118


def policy_report(policies: Policies) -> Iterator[str]:
    """The lines between plan and cost."""
    yield f"Policies ({policies.pack}, {policies.configuration}): {short(policies)}."
    for line in not_mandatory(policies):
        yield from _wrapped(line, "  ", "    ")
    for each in policies.violations:
        yield from _finding("violated", each)
    for each in policies.advice:
        yield from _finding("advice", each)
    if policies.waiting:
        rules = ", ".join(f"{name} {count}" for name, count in policies.waiting.items())
        yield from _wrapped(f"not judged before the update, and listed: {rules}", "  ", "    ")


def short(policies: Policies) -> str:
    """`2 violations, 1 advice, 8 properties not judged before the update and listed`."""
    broken = len(policies.violations) - sum(each.mandatory for each in policies.unlisted)
    parts = [counted(broken, "violation") if broken else "no violation"]
    if policies.unlisted:
        parts.append(f"{counted(len(policies.unlisted), 'property', 'properties')} not judged and not listed")
    if advice := [each for each in policies.advice if each not in policies.unlisted]:
        parts.append(f"{len(advice)} advisory")
    if policies.waiting:
        waiting = counted(sum(policies.waiting.values()), "property", "properties")
        parts.append(f"{waiting} not judged before the update and listed")
    return ", ".join(parts)


def not_mandatory(policies: Policies) -> Iterator[str]:
    """What the configuration weakens: a report without violations is worth no more than its rules are."""
    for level in sorted(set(policies.weakened.values())):
        rules = ", ".join(sorted(name for name, given in policies.weakened.items() if given == level))
        yield f"{'switched off' if level == 'disabled' else level} by the configuration: {rules}"


def conclusion(result: Result) -> str:
    """One line: the verdict and why."""
    match result.verdict:
        case Verdict.VIOLATED:
            return f"{result.stack}: violated: {short(result.policies)}."
        case Verdict.CHANGED:
            return f"{result.stack}: changed: {summary(result.counts)}; {short(result.policies)}."
        case Verdict.CLEAN:
            return f"{result.stack}: clean: nothing to change; {short(result.policies)}."


def printable(text: str) -> str:
    """Without control characters: a resource's name must not move the cursor or colour what follows."""
    return "".join(character if character.isprintable() else " " for character in text)


def _finding(word: str, finding: Finding) -> Iterator[str]:
    yield f"  {word:<8} {printable(f'{finding.rule}: {finding.resource}')}"
    yield from _wrapped(printable(finding.text), " " * 11, " " * 11)


def _wrapped(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
