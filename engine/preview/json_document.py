"""A preview as JSON for programs; docs/previews.md describes every field. No property's value is in it."""

import json
from typing import Any

from engine.cost.estimate import Estimate
from engine.preview.result import Change, Finding, Result

VERSION = 1
"""Raised when a field changes its meaning or goes; fields may come at any time."""


def json_document(result: Result) -> str:
    """The whole document, the same for the same preview but for `date`."""
    policies = result.policies
    content: dict[str, Any] = {
        "version": VERSION,
        "stack": result.stack,
        "settings": result.settings,
        "date": result.date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "verdict": result.verdict.value,
        "deployed": result.deployed,
        "stand_ins": list(result.stand_ins),
        "changes": {
            "counts": dict(sorted(result.counts.items())),
            "resources": [_change(each) for each in result.changes],
        },
        "policies": {
            "pack": policies.pack,
            "configuration": policies.configuration,
            "weakened": dict(sorted(policies.weakened.items())),
            "violations": [_finding(each) for each in policies.violations],
            "advice": [_finding(each) for each in policies.advice],
            "not_judged": {"unlisted": len(policies.unlisted), "listed": dict(policies.waiting)},
        },
        "cost": _cost(result.estimate),
        "notices": list(result.notices),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _change(change: Change) -> dict[str, Any]:
    return {
        "action": change.action,
        "type": change.type,
        "name": change.name,
        "urn": change.urn,
        "properties": list(change.properties),
        "replacing": list(change.replacing),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "level": finding.level,
        "urn": finding.urn,
        "title": finding.title,
        "detail": finding.detail,
    }


def _cost(estimate: Estimate) -> dict[str, Any] | None:
    """US dollars a month, estimated from list prices; None where the stack makes nothing in an account."""
    if not estimate.in_an_account:
        return None
    return {
        "region": estimate.region,
        "usd_at_rest": round(estimate.usd_at_rest, 2),
        "usd_at_most": round(estimate.usd_at_most, 2),
        "parts": [
            {
                "what": part.what,
                "count_at_rest": part.count_at_rest,
                "count_at_most": part.count_at_most,
                "usd_at_rest": round(part.usd_at_rest, 2),
                "usd_at_most": round(part.usd_at_most, 2),
            }
            for part in estimate.parts
        ],
        "not_estimated": [{"type": each.type, "count": each.count, "why": each.why} for each in estimate.not_estimated],
        "assumptions": list(estimate.assumptions),
    }
