"""The table of docs/policies.md: how each rule is broken in a shipped stack, and what the engine's preview reports.

Written from the results that `make soak` keeps: `python -m mutation_table --write`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_fleet_policies.reference import placed, write_or_check
from policy_cases import BY_NUMBER
from policy_mutations import CHANGES, Addition, Mutation

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "benchmarks" / "soak.json"
BEGIN = "<!-- mutations: written by make policies-reference -->"
END = "<!-- end of mutations -->"
_TEST = "tests/engine/test_policy_mutations.py::"
_LONGEST = 120


class StaleResultsError(Exception):
    """The kept results are not of the changes as they are defined now."""


def described(change: Mutation | Addition) -> dict[str, Any]:
    """A change as it is kept with its result, so that another one is seen to be another one."""
    kind = change.type if isinstance(change, Mutation) else change.given[change.which].type
    path = change.path.rpartition(":")[2] if isinstance(change, Addition) else change.path
    value = None if change.value is ... else change.value
    return {
        "rule": change.rule,
        "stack": change.stack,
        "added": isinstance(change, Addition),
        "type": kind,
        "path": path.replace("/", ".").replace("%", "/"),
        "removed": change.value is ...,
        "value": json.loads(json.dumps(value)),
        "also": list(change.also) if isinstance(change, Mutation) else [],
    }


def place(urn: str) -> str:
    """A resource as the table names it: its type and its name."""
    *_, kinds, name = urn.split("::", 3)
    return f"{kinds.rpartition('$')[2]} {name}"


def results() -> dict[str, Mapping[str, Any]]:
    """What was kept of each rule's change, by the rule's id."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["results"]
    return {each["test"].rpartition("[")[2].rstrip("]"): each for each in kept if each["test"].startswith(_TEST)}


def table() -> str:
    """One row for each rule. Raises StaleResultsError."""
    kept = results()
    lines = ["", "| | rule | stack | changed | reported at |", "| --- | --- | --- | --- | --- |"]
    stale: list[str] = []
    for change in CHANGES:
        name = BY_NUMBER[change.rule].id
        result = kept.get(name, {})
        if result.get("outcome") != "passed" or result.get("change") != described(change):
            stale.append(name)
            continue
        cells = (str(change.rule), f"`{name}`", change.stack, _changed(result), _places(result["reported"]))
        lines.append(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |")
    if stale:
        raise StaleResultsError(
            f"{RESULTS.name} has no passed run of the changes for {', '.join(stale)} as they are defined now: "
            "make soak TESTS=tests/engine/test_policy_mutations.py, then make policies-reference."
        )
    days = sorted({result["date"] for result in kept.values()})
    lines += ["", f"{len(CHANGES)} of {len(BY_NUMBER)} rules, run on {' to '.join({days[0]: 0, days[-1]: 0})}.", ""]
    return "\n".join(lines)


def _changed(result: Mapping[str, Any]) -> str:
    change = result["change"]
    where = f"{'new: ' if change['added'] else ''}`{_short(change['type'])}` {result['changed']}"
    if not change["path"]:
        return where if change["added"] else f"{where}: without ignoreChanges"
    if change["removed"]:
        return f"{where}: without `{change['path']}`"
    value = json.dumps(_statement(change["value"]))
    shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return f"{where}: `{change['path']}` is `{shown}`"


def _statement(value: Any) -> Any:
    """Of an IAM document what it says."""
    if not (isinstance(value, str) and '"Statement"' in value):
        return value
    statement = json.loads(value)["Statement"][0]
    return {name: statement[name] for name in statement if name != "Effect"}


def _places(reported: list[str]) -> str:
    shown = [f"`{_short(kind)}` {name}" for kind, _, name in (each.partition(" ") for each in reported)]
    return ", ".join(shown)


def _short(kind: str) -> str:
    return kind.rpartition(":")[2]


def rendered(page: str) -> str:
    """The page with the table as it should be. Raises StaleResultsError, and ValueError for one without its marks."""
    return placed(page, BEGIN, END, table())


def main() -> int:
    """Write the page, or say whether it is right."""
    try:
        return write_or_check(__doc__, rendered, "the mutations' results say")
    except StaleResultsError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
