"""Results of previews, put together by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from engine.cost.estimate import estimate
from engine.cost.planned import Plan
from engine.preview.result import GATE, Change, Finding, Policies, Result

QUEUE = "aws:sqs/queue:Queue"


def urn(name: str, kind: str = QUEUE) -> str:
    """A resource's URN."""
    return f"urn:pulumi:staging::agent-fleet::{kind}::{name}"


def change(name: str, action: str = "create", **given: Any) -> Change:
    """A queue that would change."""
    return Change(QUEUE, name, urn(name), action, **given)


def finding(name: str, rule: str = "sqs-encrypted", level: str = "mandatory", detail: str = "it is not") -> Finding:
    """What a rule says of a queue."""
    return Finding(rule, urn(name), "Queues are encrypted", detail, level)


def result(
    changes: Sequence[Change] = (),
    findings: Sequence[Finding] = (),
    notices: Sequence[str] = (),
    *,
    counts: dict[str, int] | None = None,
    date: datetime = datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
) -> Result:
    """A preview of staging."""
    return Result(
        stack="staging",
        settings="Pulumi.staging.yaml",
        deployed=True,
        date=date,
        counts={"create": len(changes), "same": 3} if counts is None else counts,
        changes=changes,
        policies=Policies(
            pack="agent-fleet 0.1.0",
            configuration="policies/fleet.json",
            findings=[each for each in findings if each.rule != GATE],
            unlisted=[each for each in findings if each.rule == GATE],
            waiting={"kms-rotation": 2},
            weakened={"efs-own-key": "disabled", "all": "advisory"},
        ),
        estimate=estimate(Plan()),
        notices=notices,
        stand_ins=["aws"],
    )
