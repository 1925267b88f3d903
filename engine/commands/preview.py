"""`make preview`: what `up` would change, what the policies say of it, and what it would cost.

Builds nothing, pushes nothing, needs no credentials and no cluster.
"""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from engine.commands.session import Session
from engine.cost.statement import statement
from engine.errors import UserFacingError
from engine.preview import run, update_plan, writing
from engine.preview.result import Result, Verdict, summary
from engine.preview.terminal import conclusion, policy_report
from engine.report import say


def preview(
    session: Session,
    settings_file: Path | None,
    policies: Path | None = None,
    report: Path | None = None,
    *,
    save_plan: bool = False,
) -> Verdict:
    """Preview a stack and write its report. One that was never deployed is held against a state that is thrown away."""
    if save_plan and report is None:
        raise UserFacingError(
            "PLAN asks for an update plan, and there is no folder for it.",
            "Name one: make preview PLAN=1 REPORT=folder.",
        )
    if report is not None:
        writing.prepare(report)
    wanted = run.request(session, settings_file, policies)
    if save_plan:
        update_plan.refuse_builds(wanted.settings)
    with _plan(session, wanted=save_plan) as plan:
        if plan is not None and not session.deployed():
            raise UserFacingError(
                f"{session.fleet} was never deployed, or its state cannot be seen from here: a plan made now could not "
                "be read by the update, whose state has another key.",
                "Deploy it once (`make up`), or preview without PLAN.",
            )
        result = run.preview(wanted, plan=plan)
        show(result)
        if report is not None:
            written = writing.write(report, result, plan)
            say(f"The report: {', '.join(str(path) for path in written)}.")
            if save_plan and result.verdict is Verdict.VIOLATED:
                say("No plan was made: an update to a stack that breaks a mandatory rule is not to be planned.")
    if result.verdict is Verdict.VIOLATED:
        click.secho(f"\n{conclusion(result)}", fg="red", err=True)
    return result.verdict


def show(result: Result) -> None:
    """Policies and cost; the plan's lines came while it was made."""
    say(f"  {summary(result.counts)}")
    for line in policy_report(result.policies):
        say(line)
    for line in statement(result.estimate):
        say(line)


@contextmanager
def _plan(session: Session, *, wanted: bool) -> Generator[Path | None]:
    """Where the engine writes the plan, readable by this user only; gone at the end."""
    if not wanted:
        yield None
        return
    session.paths.fleet.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="plan-", dir=session.paths.fleet) as folder:
        yield Path(folder) / writing.PLAN
