"""`make check`: all stacks of the checkout held against the policies, without an account and without a state."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.paths import Paths
from engine.preview import run, writing
from engine.preview.result import Result, Verdict
from engine.preview.terminal import conclusion, policy_report
from engine.report import say


def check(
    paths: Paths,
    stacks: Sequence[str],
    session: Callable[[str], Session],
    policies: Path | None = None,
    report: Path | None = None,
) -> bool:
    """Judge each stack, all where none is named; return whether none is violated. The summary comes last.

    Raises UserFacingError where one could not be judged, after the others were. `report` gets a folder for each stack.
    """
    names = list(dict.fromkeys(stacks)) or _all(paths)
    for name in names if report is not None else ():
        writing.prepare(report / name)  # pyright: ignore[reportOptionalOperand]
    judged: list[Result] = []
    broken: dict[str, UserFacingError] = {}
    for name in names:
        try:
            judged.append(_judged(session(name), policies, report))
        except UserFacingError as error:
            broken[name] = error
            click.secho(f"\n{error.message}", fg="red", err=True)
            click.echo(error.remedy, err=True)
    say("")
    for each in judged:
        say(conclusion(each))
    for name, error in broken.items():
        say(f"{name}: broken: {error.message.splitlines()[0]}")
    if broken:
        raise UserFacingError(
            f"{len(broken)} of {len(names)} stacks could not be judged: {', '.join(broken)}.",
            "What was found is above. Correct it and run the command again.",
        )
    return all(each.verdict is not Verdict.VIOLATED for each in judged)


def _judged(session: Session, policies: Path | None, report: Path | None) -> Result:
    result = run.preview(run.request(session, None, policies), thrown_away=True)
    for line in policy_report(result.policies):
        say(line)
    if report is not None:
        writing.write(report / session.stack, result)
    return result


def _all(paths: Paths) -> list[str]:
    """Every stack that has a settings file here."""
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in paths.root.glob("Pulumi.*.yaml"))
