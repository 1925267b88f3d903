"""What every command takes: which fleet, how patient, how quiet."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from agent_fleet_client.command.deployment import Choice, Deployment, find
from agent_fleet_client.command.speech import Speech
from agent_fleet_client.errors import UnreachableError
from agent_fleet_client.fleet import Fleet

_INTERRUPTED_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Caller:
    """The fleet that a command works with, and how it speaks."""

    deployment: Deployment
    patience_seconds: float
    speech: Speech

    def fleet(self) -> Fleet:
        """Return a client."""
        return self.deployment.open(patience_seconds=self.patience_seconds, on_retry=self._tell)

    def hurried_fleet(self) -> Fleet:
        """Return a client for what is still to be done after Ctrl-C."""
        patience = min(self.patience_seconds, _INTERRUPTED_PATIENCE_SECONDS)
        return self.deployment.open(patience_seconds=patience, on_retry=self._tell)

    def _tell(self, reason: str) -> None:
        self.speech.progress(f"trying again: {reason}")


def caller(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options, and the Caller that they make as its first argument."""

    @click.option("--url", help="The fleet's address; FLEET_URL if not given.")
    @click.option(
        "--deployment",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A file that `make up` wrote; .fleet/local.json if nothing else is given.",
    )
    @click.option("--key-file", metavar="FILE|-", help="Where the key is read from; FLEET_KEY if not given.")
    @click.option("--team", envvar="FLEET_TEAM", help="Whose key of the deployment's file, where it has several.")
    @click.option(
        "--patience",
        type=click.FloatRange(min=0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long a fleet may be away, or not accept, before that is an error.",
    )
    @click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on standard error.")
    @functools.wraps(command)
    def with_caller(
        *arguments: Any,
        url: str | None,
        deployment: Path | None,
        key_file: str | None,
        team: str | None,
        patience: float,
        quiet: bool,
        **options: Any,
    ) -> Any:
        if key_file == "-":
            # Read below, before anything else can want it.
            taken = [name for name in ("file", "stdin") if options.get(name) == "-"]
            if taken:
                raise click.UsageError("standard input is read once: --key-file has it already.")
        found = find(Choice(url, deployment, key_file, team))
        try:
            return command(Caller(found, patience, Speech(quiet=quiet)), *arguments, **options)
        except UnreachableError as error:
            raise UnreachableError(f"{error} {found.remedy}") from None

    return with_caller
