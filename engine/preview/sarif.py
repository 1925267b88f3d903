"""What a preview's policies say as SARIF 2.1.0, as GitHub's code scanning takes it.

Each result is at the stack's settings file, the one file that a reader can change, and names its resource; what the
configuration lists as not judged is in the run's properties, since it asks nobody to do anything.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from engine.preview.result import Finding, Result

_MOST_RESULTS = 5_000  # of one run, that GitHub shows
_DOCUMENT = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(result: Result) -> str:
    """The whole document, the same for the same preview."""
    policies = result.policies
    findings = [*policies.violations, *policies.advice][:_MOST_RESULTS]
    rules = {each.rule: each for each in sorted(findings, reverse=True)}
    names = sorted(rules)
    pack, _, version = policies.pack.partition(" ")
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": f"{pack} policies",
                **({"semanticVersion": version} if version else {}),
                "rules": [_rule(name, rules[name]) for name in names],
            }
        },
        # Without it, the upload of one stack would close the alerts of another.
        "automationDetails": {"id": f"agent-fleet-preview/{result.stack}/"},
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The checkout's folder."}}},
        "results": [_result(each, names, result.settings) for each in findings],
        "properties": {
            "stack": result.stack,
            "verdict": result.verdict.value,
            "notJudgedAndListed": dict(policies.waiting),
            "weakened": dict(sorted(policies.weakened.items())),
        },
    }
    content = {"$schema": _DOCUMENT, "version": "2.1.0", "runs": [run]}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _rule(name: str, finding: Finding) -> dict[str, Any]:
    return {
        "id": name,
        "name": "".join(word.capitalize() for word in name.split("-")),
        "shortDescription": {"text": finding.title or name},
        "fullDescription": {"text": finding.title or name},
        "help": {"text": f"{finding.title}. docs/policies.md has the reason, the fix and how to make an exception."},
        "properties": {"tags": ["infrastructure", "policy"]},
    }


def _result(finding: Finding, rules: Sequence[str], settings: str) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": "error" if finding.mandatory else "warning",
        "message": {"text": f"{finding.resource}: {finding.detail or finding.title}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": settings, "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [
                    {
                        "name": finding.urn.rpartition("::")[2],
                        "fullyQualifiedName": finding.urn,
                        "kind": "resource",
                    }
                ],
            }
        ],
        # All are at one line: without it GitHub would take those of one rule for one.
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding)},
    }


def _fingerprint(finding: Finding) -> str:
    """The same as long as the rule says the same of the resource, whatever else changes in the settings file."""
    return hashlib.sha256("\n".join((finding.rule, finding.urn, finding.detail)).encode()).hexdigest()[:32]
