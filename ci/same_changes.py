"""Ends with 1 where a stack would change in another way than was approved: same_changes.py <approved.json> <now.json>.

Both are `preview.json` (docs/previews.md) of one commit. Compared is what would happen to which resource and to which
of its properties; date, costs and notices are not. A plan changes after its approval when the stack was changed
meanwhile: by another run, or by hand.
"""

import json
import sys
from pathlib import Path
from typing import Any


def changes(report: dict[str, Any]) -> dict[str, Any]:
    """What would change, by the resource's URN."""
    return {each["urn"]: each for each in report["changes"]["resources"]}


def differences(approved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for each difference; none where the plan is still the approved one."""
    if approved["stack"] != now["stack"]:
        return [f"approved was a plan of the stack {approved['stack']}, and this is {now['stack']}"]
    before, after = changes(approved), changes(now)
    found = [f"not approved: {_told(after[urn])}" for urn in after if urn not in before]
    found += [f"no longer there: {_told(before[urn])}" for urn in before if urn not in after]
    found += [
        f"approved: {_told(before[urn])}; now: {_told(after[urn])}"
        for urn in after
        if urn in before and before[urn] != after[urn]
    ]
    return found


def _told(change: dict[str, Any]) -> str:
    return f"{change['action']} {change['urn']} ({', '.join(change.get('properties') or ()) or 'as a whole'})"


def main(arguments: list[str]) -> None:
    """Compare, and tell."""
    if len(arguments) != 2:
        sys.exit(f"Given was {arguments}; wanted are two preview.json.")
    approved, now = (json.loads(Path(each).read_text()) for each in arguments)
    found = differences(approved, now)
    if found:
        print("\n".join(found))
        sys.exit(
            "The plan is not the approved one any more; nothing was changed. Run the workflow again and approve anew."
        )


if __name__ == "__main__":
    main(sys.argv[1:])
