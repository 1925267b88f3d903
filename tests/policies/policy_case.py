"""What a rule is tried with: resources that keep it, and the changes that break it or hide something from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analyzer_process import Given

Unknown = Literal["waits", "refused", "clean"]
Missing = Literal["clean", "broken"]


@dataclass(frozen=True)
class Case:
    """One rule's case. Paths are as for `changed`."""

    rule: int
    given: Sequence[Given]
    broken: Sequence[tuple[str, Any]]
    unknown: Sequence[tuple[str, Unknown]]
    missing: Sequence[tuple[str, Missing]]

    @property
    def id(self) -> str:
        """For the test's name."""
        return f"{self.rule}-{self.given[0].type.rpartition(':')[2]}"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """An IAM document as a map, so that parts of it can be unknown."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}
