"""The documented table of mutations is what the engine reported of the changes as they are defined now."""

from dataclasses import replace

import mutation_table
import pytest
from agent_fleet_policies.reference import PAGE
from policy_mutations import CHANGES


def test_the_table_is_of_the_changes_as_they_are_defined() -> None:
    """It would show a run that nobody could repeat."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == mutation_table.rendered(page), "run make policies-reference"


def test_a_change_that_was_not_run_is_no_row_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed mutation would pass for one that the engine has seen."""
    monkeypatch.setattr(mutation_table, "CHANGES", (replace(CHANGES[0], value="another"), *CHANGES[1:]))
    with pytest.raises(mutation_table.StaleResultsError, match="ecr-immutable-tags"):
        mutation_table.table()
