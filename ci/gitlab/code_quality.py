"""GitLab's code quality report from a preview's findings: code_quality.py <preview.sarif> <report.json>.

GitLab takes no SARIF (no `artifacts:reports` is for it); its merge requests show this format, in every edition.
Without a SARIF file, as a preview that broke leaves none, nothing is written.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SEVERITIES = {"error": "critical", "warning": "major", "note": "minor", "none": "info"}
"""SARIF's levels as GitLab's severities."""


def findings(sarif: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each result once, by what GitLab tells findings apart with."""
    seen: set[str] = set()
    for run in sarif["runs"]:
        for result in run.get("results", []):
            place = result["locations"][0]["physicalLocation"]
            path = str(place["artifactLocation"]["uri"])
            text = str(result["message"]["text"])
            rule = str(result["ruleId"])
            fingerprint = hashlib.sha256("\0".join((rule, path, text)).encode()).hexdigest()
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            yield {
                "description": text,
                "check_name": rule,
                "fingerprint": fingerprint,
                "severity": _SEVERITIES.get(str(result.get("level", "warning")), "major"),
                "location": {"path": path, "lines": {"begin": int(place.get("region", {}).get("startLine", 1))}},
            }


def main(arguments: list[str]) -> None:
    """Write the report."""
    if len(arguments) != 2:
        sys.exit(f"Given was {arguments}; wanted are a SARIF file and the report to write.")
    source, report = map(Path, arguments)
    if source.is_file():
        report.write_text(json.dumps(list(findings(json.loads(source.read_text()))), indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
