"""The command line of what only looks: `preview`, `check` and `drift`. Their exit codes are a contract with CI.

0: clean. 1: broken. 2: changed, or drift, where the detailed exit code is asked for. 3: violated.
"""

import sys
from pathlib import Path
from typing import Any

import click

from engine.commands.options import check_stack, config_option, session, stack_option
from engine.errors import UserFacingError
from engine.paths import Paths
from engine.pulumi_cli import Interrupted

CHANGED = 2
VIOLATED = 3


class Judging(click.Command):
    """A command whose every failure is 1: click's own 2 for a wrong option would read as "changed"."""

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        """As every command's, but for the exit code of a refusal."""
        try:
            return super().make_context(*given, **named)
        except click.UsageError as error:
            raise UserFacingError(
                error.format_message(), f"`.venv/bin/python -m engine {self.name} --help` lists what there is."
            ) from error

    def invoke(self, ctx: click.Context) -> Any:
        """As every command's; an interruption is a failure like any other."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, Interrupted) as error:
            raise UserFacingError(
                "Interrupted: nothing was changed, and no report was written.", "Run the command again."
            ) from error


_policies_option = click.option(
    "--policies", envvar="POLICIES", type=click.Path(path_type=Path), help="Configures the rules; policies/fleet.json."
)
_report_option = click.option(
    "--report", envvar="REPORT", type=click.Path(path_type=Path), help="A folder for preview.md, .json and .sarif."
)
_detailed_option = click.option(
    "--detailed-exit-code", "detailed", is_flag=True, envvar="DETAILED_EXIT_CODE", help="End with 2 where it differs."
)


@click.command(cls=Judging)
@stack_option
@config_option
@_policies_option
@_report_option
@click.option("--save-plan", is_flag=True, envvar="PLAN", help="Also write plan.json, for `up`; needs --report.")
@_detailed_option
def preview(
    stack: str, settings: Path | None, policies: Path | None, report: Path | None, save_plan: bool, detailed: bool
) -> None:
    """Show what `up` would change, what the policies say of it and what it would cost."""
    from engine.commands.preview import preview as run
    from engine.preview.result import Verdict

    verdict = run(session(stack, settings), settings, policies, report, save_plan=save_plan)
    if verdict is Verdict.VIOLATED:
        sys.exit(VIOLATED)
    if verdict is Verdict.CHANGED and detailed:
        sys.exit(CHANGED)


@click.command(cls=Judging)
@click.option(
    "--stack", "stacks", multiple=True, envvar="STACK", help="A stack; may be given again. All of the checkout if not."
)
@_policies_option
@_report_option
def check(stacks: tuple[str, ...], policies: Path | None, report: Path | None) -> None:
    """Hold all stacks against the policies, without an account and without a state."""
    from engine.commands.check import check as run

    for name in stacks:
        check_stack(name)
    if not run(Paths(), stacks, session, policies, report):
        sys.exit(VIOLATED)


@click.command(cls=Judging)
@stack_option
@config_option
@_detailed_option
def drift(stack: str, settings: Path | None, detailed: bool) -> None:
    """Show what differs from what was deployed; changes nothing."""
    from engine.commands.drift import drift as run

    if run(session(stack, settings)) and detailed:
        sys.exit(CHANGED)
