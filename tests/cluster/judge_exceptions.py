"""What the judges find and we keep, each with its reason: judge_exceptions.toml, read and matched."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from declared_manifests import Manifest, title

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Finding:
    """One judge's complaint about one object."""

    judge: str
    rule: str
    about: str
    """`Kind role`, by the object's label `agent-fleet.role`."""
    title: str
    text: str

    def __str__(self) -> str:
        """For a person."""
        return f"{self.judge} {self.rule}: {self.title} ({self.about}): {self.text}"


@dataclass(frozen=True)
class JudgeException:
    """A rule that does not hold for some objects."""

    judge: str
    rule: str
    objects: tuple[str, ...]
    reason: str
    only: str = "*"

    def covers(self, finding: Finding) -> bool:
        """Whether it excuses the finding."""
        return (
            (self.judge, self.rule) == (finding.judge, finding.rule)
            and fnmatchcase(finding.title, self.only)
            and any(fnmatchcase(finding.about, pattern) for pattern in self.objects)
        )


def about(manifest: Manifest) -> str:
    """`Kind role` of an object; the role is `none` where it has no label."""
    return f"{manifest['kind']} {manifest['metadata'].get('labels', {}).get('agent-fleet.role', 'none')}"


def finding(judge: str, rule: str, manifest: Manifest, text: str) -> Finding:
    """A complaint about an object."""
    return Finding(judge, rule, about(manifest), title(manifest), text)


@cache
def exceptions() -> tuple[JudgeException, ...]:
    """All of the file."""
    listed = tomllib.loads(FILE.read_text(encoding="utf-8"))["exception"]
    return tuple(JudgeException(each["judge"], each["rule"], tuple(each["objects"]), each["reason"]) for each in listed)


def unexcused(findings: Iterable[Finding]) -> list[str]:
    """The findings that no exception covers, as lines."""
    return sorted({str(each) for each in findings if not any(one.covers(each) for one in exceptions())})


def idle(judge: str, findings: Iterable[Finding]) -> list[str]:
    """The judge's exceptions, pattern by pattern, that cover none of the findings."""
    found = list(findings)
    return [
        f"{each.judge} {each.rule}: {pattern}"
        for each in exceptions()
        if each.judge == judge
        for pattern in each.objects
        if not any(replace(each, objects=(pattern,)).covers(complaint) for complaint in found)
    ]
