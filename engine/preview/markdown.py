"""A preview as Markdown for the comment of a pull request: a short table, details folded, never longer than allowed."""

import re
from collections.abc import Iterable, Iterator, Sequence

from engine.cost.estimate import Estimate
from engine.cost.statement import counted as counted_charge
from engine.preview.result import Change, Finding, Result, Verdict, counted, summary
from engine.preview.terminal import not_mandatory, printable, short

MOST_CHARACTERS = 60_000
"""Of one comment; GitHub takes 65,536."""
_LEAST_OF_A_SECTION = 4_000
_MOST_MESSAGE = 600
_MOST_PROPERTIES = 12
_HEADLINES = {Verdict.CLEAN: "nothing to change", Verdict.CHANGED: "changes", Verdict.VIOLATED: "violated"}
_ZERO_WIDTH = "&#8203;"


def markdown(result: Result) -> str:
    """The whole comment. Its first line, invisible, names the stack, so that the next run finds the comment."""
    policies = result.policies
    head = [
        f"<!-- agent-fleet preview: {result.stack} -->",
        f"### Preview of {code(result.stack)}: {_HEADLINES[result.verdict]}",
        "",
        "| | |",
        "| --- | --- |",
        f"| Changes | {summary(result.counts)}{_counted_too(result)} |",
        f"| Policies | {escaped('; '.join([short(policies), *not_mandatory(policies)]))} |",
        f"| Cost | {_cost(result.estimate)} |",
        "",
        *_remarks(result),
    ]
    sources = (code(result.settings), escaped(policies.pack), code(policies.configuration), _date(result))
    tail = f"\n<sub>{' · '.join(sources)}</sub>\n"
    sections = [
        _section("Violations", _findings(policies.violations), opened=True),
        _section("Changes", _changes(result.changes)),
        _section("Advice", _findings(policies.advice)),
        _section("Not judged before the update, and listed", _waiting(result)),
        _section("Cost", _charges(result.estimate), length=None),
        _section("Notices", [f"- {escaped(cut(each))}" for each in result.notices]),
    ]
    return _fitted("\n".join(head), [each for each in sections if each is not None], tail)


def code(text: str) -> str:
    """Text that shows as it is, mentions nobody and ends no table cell."""
    shown = _entities(printable(text)).replace("://", "&#58;//")
    return f"<code>{re.sub(r'(?i)w(?=ww[.])', '&#119;', shown)}</code>"


def escaped(text: str) -> str:
    """Running text without meaning as Markdown or HTML: no link, no mention, no reference to an issue."""
    shown = _entities(printable(text))
    shown = re.sub(r"(&#64;|&#35;)", rf"\1{_ZERO_WIDTH}", shown)
    shown = shown.replace("://", f":{_ZERO_WIDTH}//")
    return re.sub(r"\b(www|GH)([.-])", rf"\1{_ZERO_WIDTH}\2", shown, flags=re.IGNORECASE)


def cut(text: str) -> str:
    """A message that is not longer than a reader reads."""
    return text if len(text) <= _MOST_MESSAGE else f"{text[:_MOST_MESSAGE]} …"


def _entities(text: str) -> str:
    return re.sub(r"[^\w\s.,:;/=%?-]|_", lambda found: f"&#{ord(found[0])};", text)


def _date(result: Result) -> str:
    return result.date.strftime("%Y-%m-%d %H:%M UTC")


def _remarks(result: Result) -> Iterator[str]:
    if not result.deployed:
        yield "Held against an empty state: everything shows as new."
    if result.stand_ins:
        yield f"Stand-ins served {escaped(', '.join(result.stand_ins))}, not the official providers (docs/engine.md)."


def _cost(estimate: Estimate) -> str:
    if not estimate.in_an_account:
        return "nothing in a cloud account"
    return f"{estimate.usd_at_rest:,.2f} US dollars a month at rest, at most {estimate.usd_at_most:,.2f}, estimated"


def _counted_too(result: Result) -> str:
    return ", components and providers among them" if result.changed > len(result.changes) else ""


def _changes(changes: Sequence[Change]) -> list[str]:
    return [f"- {escaped(each.action)} {code(each.type)} {code(each.name)}{_properties(each)}" for each in changes]


def _properties(change: Change) -> str:
    names = change.replacing or change.properties
    if not names:
        return ""
    more = f" and {len(names) - _MOST_PROPERTIES} more" if len(names) > _MOST_PROPERTIES else ""
    listed = ", ".join(code(name) for name in names[:_MOST_PROPERTIES])
    return f": {'because of ' if change.replacing else ''}{listed}{more}"


def _findings(findings: Iterable[Finding]) -> list[str]:
    return [f"- {code(each.rule)} {code(each.resource)} {escaped(cut(each.text))}" for each in findings]


def _waiting(result: Result) -> list[str]:
    return [
        f"- {code(name)}: {counted(count, 'property', 'properties')}" for name, count in result.policies.waiting.items()
    ]


def _charges(estimate: Estimate) -> list[str]:
    if not estimate.in_an_account:
        return []
    rows = [
        f"| {escaped(counted_charge(part))} | {part.usd_at_rest:,.2f} | {part.usd_at_most:,.2f} |"
        for part in estimate.parts
    ]
    total = f"| in all | {estimate.usd_at_rest:,.2f} | {estimate.usd_at_most:,.2f} |"
    missing = [
        f"- not estimated: {each.count} {code(each.type)}: {escaped(each.why)}" for each in estimate.not_estimated
    ]
    return ["| US dollars a month | at rest | at most |", "| --- | --- | --- |", *rows, total, "", *missing]


class _Section:
    """A heading with lines under it, of which the last ones may be left out."""

    def __init__(self, title: str, lines: Sequence[str], *, opened: bool) -> None:
        self.title = title
        self.lines = lines
        self.opened = opened

    def text(self, room: int) -> str:
        opening = f"\n<details{' open' if self.opened else ''}><summary>{self.title}</summary>\n\n"
        closing = "\n</details>\n"
        note = f"- and {len(self.lines)} more: preview.json has them all"
        left = room - len(opening) - len(closing) - len(note) - 2
        if left < 0:
            return ""
        kept: list[str] = []
        for line in self.lines:
            left -= len(line) + 1
            if left < 0:
                kept.append(f"- and {len(self.lines) - len(kept)} more: preview.json has them all")
                break
            kept.append(line)
        return f"{opening}{chr(10).join(kept)}\n{closing}"


def _section(title: str, lines: Sequence[str], *, opened: bool = False, length: int | None = 0) -> _Section | None:
    if not lines:
        return None
    count = f" ({len(lines)})" if length is not None else ""
    return _Section(f"{title}{count}", lines, opened=opened)


def _fitted(head: str, sections: Sequence[_Section], tail: str) -> str:
    """Everything where it fits; else the first sections, which matter most, leave the later ones a little."""
    room = MOST_CHARACTERS - len(head) - len(tail) - 1
    least = [min(len(section.text(room)), _LEAST_OF_A_SECTION) for section in sections]
    parts: list[str] = []
    for number, section in enumerate(sections):
        text = section.text(room - sum(least[number + 1 :]))
        room -= len(text)
        parts.append(text)
    return f"{head}\n{''.join(parts)}{tail}"
