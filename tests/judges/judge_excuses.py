"""What checkov, cloudsplaining and bandit find and we keep, each with its reason: judge_excuses.toml, read."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Finding:
    """One judge's complaint."""

    judge: str
    rule: str
    place: str
    """A file, or a stack and the resource in it."""
    text: str

    def __str__(self) -> str:
        """For a person."""
        return f"{self.judge} {self.rule}: {self.place}: {self.text}"


@dataclass(frozen=True)
class Excuse:
    """A rule that does not hold at some places."""

    judge: str
    rule: str
    place: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether it excuses the finding."""
        return (self.judge, self.rule) == (finding.judge, finding.rule) and fnmatchcase(finding.place, self.place)


@cache
def excuses() -> tuple[Excuse, ...]:
    """All of the file, one for each place."""
    listed = tomllib.loads(FILE.read_text(encoding="utf-8"))["excuse"]
    return tuple(
        Excuse(each["judge"], each["rule"], place, " ".join(each["reason"].split()))
        for each in listed
        for place in each["places"]
    )


def unexcused(findings: Iterable[Finding]) -> list[str]:
    """The findings that nothing excuses, as lines."""
    return sorted({str(each) for each in findings if not any(one.covers(each) for one in excuses())})


def idle(judge: str, findings: Iterable[Finding]) -> list[str]:
    """The judge's excuses, place by place, for which there is no finding."""
    found = list(findings)
    return [
        f"{each.judge} {each.rule}: {each.place}"
        for each in excuses()
        if each.judge == judge and not any(each.covers(complaint) for complaint in found)
    ]
