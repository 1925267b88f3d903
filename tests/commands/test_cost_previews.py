"""`make preview` as a user runs it: it ends with what the stack costs, by the engine's own events."""

import os
import re
import subprocess
import sys
from pathlib import Path

from cost_plans import shipped

from engine.cost.estimate import estimate
from engine.cost.statement import statement

CHECKOUT = Path(__file__).parents[2]


def previewed(stack: str, probe: str) -> str:
    """The output of a preview of a shipped stack's settings, under a name that no other command uses."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    run = subprocess.run(
        [sys.executable, "-m", "engine", "preview", "--stack", probe, "--config", f"Pulumi.{stack}.yaml"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return run.stdout


def total(text: str) -> tuple[str, str]:
    """Dollars a month in all, at rest and at most, as they are printed."""
    found = re.search(r"^  in all +([\d,.]+) +([\d,.]+)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1], found[2]


def test_a_preview_without_an_account_ends_with_the_same_estimate_as_the_declared_stack() -> None:
    """Prevents an estimate that misreads the engine's events, or that a failing preview swallows."""
    shown = previewed("staging", "probe-cost")
    last = shown[shown.index("What this costs in the account") :]
    assert total(last) == total("\n".join(statement(estimate(shipped("staging")))))
    assert "per thousand jobs: " in last
    assert last.rstrip().endswith("docs/cost.md says where the prices are from.")
    assert "04da6b54" not in last


def test_a_preview_of_this_machine_says_that_it_costs_nothing() -> None:
    """Prevents a newcomer's worry about the first command."""
    assert previewed("local", "probe-free").rstrip().endswith("and costs nothing there.")
