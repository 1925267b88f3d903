"""Gathers what a preview finds from the engine's events. Values of properties are left where they are."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.cost.estimate import estimate
from engine.cost.planned import Plan
from engine.errors import UserFacingError
from engine.presentation import is_real, plain
from engine.preview.result import GATE, Change, Finding, Policies, Result

_STAND_IN = re.compile(r"(\S+): this is agent-fleet's stand-in for the official")
_UNCHANGED = ("same", "read", "refresh", "read-discard", "discard", "discard-replaced")
_REPLACED = ("create-replacement", "replace", "delete-replaced", "import-replacement", "read-replacement")
# The gate's own words (policies/agent_fleet_policies/analyzer.py), which tests/engine/test_preview_reports.py holds.
_WAITING = re.compile(r"listed as such: (\d+) properties \((.*)\)", re.DOTALL)
_COUNT = re.compile(r"(\S+) (\d+)(?:, |$)")


class Collector:
    """Takes the events of one preview."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self.plan = Plan()
        self.violated = False
        """Whether a mandatory policy spoke: the engine then ends with an error that is none."""
        self._changes: dict[str, Change] = {}
        self._findings: set[Finding] = set()
        self._waiting: dict[str, int] = {}
        self._counts: Mapping[str, int] = {}
        self._packs: Mapping[str, str] = {}
        self._stack_judged = False
        self._finished = False
        self._notices: set[str] = set()
        self._stand_ins: set[str] = set()
        self._last_words = ""

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event of the engine's JSON stream."""
        self.plan.event(event)
        if (before := event.get("resourcePreEvent")) is not None:
            self._step(before["metadata"])
        elif (said := event.get("policyEvent")) is not None:
            self._said(said)
        elif event.get("policyAnalyzeStackSummaryEvent") is not None:
            self._stack_judged = True
        elif (told := event.get("diagnosticEvent")) is not None:
            self._told(told)
        elif (summary := event.get("summaryEvent")) is not None:
            self._counts = dict(summary.get("resourceChanges") or {})
            self._packs = dict(summary.get("PolicyPacks") or {})
            self._finished = True

    def judged(self) -> bool:
        """Whether the engine's failure is that a mandatory policy spoke, after all was seen."""
        return self.violated and self._finished

    def cause(self) -> str:
        """The exception with which a policy pack ended, where one did; the engine only says that it has ended."""
        return self._last_words

    def result(
        self,
        stack: str,
        settings: str,
        configuration: str,
        weakened: Mapping[str, str],
        date: datetime,
        *,
        deployed: bool,
    ) -> Result:
        """The whole; raises UserFacingError where the engine or the pack did not come to an end."""
        if not (self._finished and self._packs and self._stack_judged):
            raise UserFacingError(
                "The policy pack did not judge the whole stack, so there is nothing to rely on.",
                "The log of the preview, in .fleet/logs, has the engine's own words.",
            )
        findings = sorted(self._findings, key=lambda each: (not each.mandatory, each))
        name, version = next(iter(sorted(self._packs.items())))
        return Result(
            stack=stack,
            settings=settings,
            deployed=deployed,
            date=date,
            counts=self._counts,
            changes=sorted(self._changes.values()),
            policies=Policies(
                pack=f"{name.partition('|')[0]} {version}".strip(),
                configuration=configuration,
                findings=[each for each in findings if each.rule != GATE],
                unlisted=[each for each in findings if each.rule == GATE],
                waiting=dict(sorted(self._waiting.items())),
                weakened=weakened,
            ),
            estimate=estimate(self.plan),
            notices=sorted(self._notices),
            stand_ins=sorted(self._stand_ins),
        )

    def _step(self, metadata: Mapping[str, Any]) -> None:
        operation, urn = metadata["op"], metadata["urn"]
        if operation in _UNCHANGED or not is_real(metadata):
            return
        action = "replace" if operation in _REPLACED else operation
        before = self._changes.get(urn)
        if before is not None and before.action == "replace":
            action = "replace"
        properties, replacing = _properties(metadata)
        if action == "create":
            properties = ()
        self._changes[urn] = Change(
            type=metadata["type"],
            name=urn.rpartition("::")[2],
            urn=urn,
            action=action,
            properties=tuple(sorted({*properties, *(before.properties if before else ())})),
            replacing=tuple(sorted({*replacing, *(before.replacing if before else ())})),
        )

    def _said(self, said: Mapping[str, Any]) -> None:
        title, _, detail = str(said.get("message") or "").strip().partition("\n")
        found = Finding(
            rule=str(said.get("policyName") or ""),
            urn=str(said.get("resourceUrn") or ""),
            title=title.strip(),
            detail=" ".join(detail.split()),
            level=str(said.get("enforcementLevel") or ""),
        )
        waiting = _WAITING.search(found.detail) if found.rule == GATE and not found.mandatory else None
        if waiting is not None:
            self._waiting = {name: int(number) for name, number in _COUNT.findall(waiting[2])}
            if sum(self._waiting.values()) != int(waiting[1]):
                self._waiting = {GATE: int(waiting[1])}
            return
        self.violated = self.violated or found.mandatory
        self._findings.add(found)

    def _told(self, told: Mapping[str, Any]) -> None:
        message, severity = str(told.get("message") or "").strip(), told.get("severity")
        if severity == "info#err" and message and re.match(r"[A-Za-z_.]+(Error|Exception|Exit)\b", message):
            self._last_words = message
        if not message or told.get("ephemeral") or severity not in ("info", "warning"):
            return
        if (found := _STAND_IN.match(message)) is not None:
            self._stand_ins.add(found[1])
        else:
            self._notices.add(f"{'warning: ' if severity == 'warning' else ''}{plain(message)}")


def _properties(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of what changes, and of what forces a replacement."""
    detailed: Mapping[str, Any] = metadata.get("detailedDiff") or {}
    changed = tuple(detailed) or tuple(metadata.get("diffs") or ())
    by_detail = (path for path, diff in detailed.items() if str(diff.get("diffKind", "")).endswith("-replace"))
    return changed, tuple(by_detail) or tuple(metadata.get("keys") or ())
