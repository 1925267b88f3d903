"""Which inputs force a replacement, from tables with a source for each type (`replacement_tables/*.json`).

An entry has `source`, where the facts come from; `replace`, the inputs that force a replacement (`*`: all but those in
`update`); optionally `update`, `unordered` (lists that are sets), `delete_before_replace`, and `note`. A path names a
property and all below it. A type without an entry is judged conservatively: it is updated in place, and the run says
that the preview may be wrong about replacements.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "replacement_tables"


@dataclass(frozen=True)
class Rule:
    """What is known about one resource type."""

    source: str = ""
    replace: frozenset[str] = frozenset()
    update: frozenset[str] = frozenset()
    unordered: frozenset[str] = frozenset()
    delete_before_replace: bool = False

    def replaces(self, path: str) -> bool:
        """Whether a change at `path` (`ports[0].external`) forces a replacement."""
        prefixes = _prefixes(path)
        if any(prefix in self.update for prefix in prefixes):
            return False
        if "*" in self.replace or any(prefix in self.replace for prefix in prefixes):
            return True
        # A whole object came or went: what the table says of its parts decides.
        return any(rule.startswith(f"{prefixes[-1]}.") for rule in self.replace)


class ReplacementTable:
    """The rules of one package."""

    def __init__(self, package: str) -> None:
        """A package without a table has no known types."""
        self._package = package
        path = _FOLDER / f"{package}.json"
        self._entries: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}

    def knows(self, token: str) -> bool:
        """Whether the table has an entry for the type."""
        return token in self._entries

    def rule(self, token: str) -> Rule:
        """The rule for a type; the empty rule for an unknown one."""
        entry = self._entries.get(token, {})
        return Rule(
            source=entry.get("source", ""),
            replace=frozenset(entry.get("replace", ())),
            update=frozenset(entry.get("update", ())),
            unordered=frozenset(entry.get("unordered", ())),
            delete_before_replace=bool(entry.get("delete_before_replace", False)),
        )

    def unknown_message(self, token: str) -> str:
        """What to tell the user about a type that has no entry."""
        return (
            f"{token} is not in the stand-in's replacement table: every change of it is shown as an update, "
            f"although the official {self._package} provider may replace the resource."
        )


def _prefixes(path: str) -> list[str]:
    """`a[0].b` as `a` and `a.b`: list positions do not matter to a rule."""
    plain = path
    while "[" in plain:
        head, _, rest = plain.partition("[")
        plain = head + rest.partition("]")[2]
    steps = plain.split(".")
    return [".".join(steps[: count + 1]) for count in range(len(steps))]
