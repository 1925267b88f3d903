"""The options that commands on a stack have in common."""

import os
import re
import time
from pathlib import Path

import click
from click.core import ParameterSource

from engine.commands.session import Session
from engine.errors import UserFacingError
from engine.paths import Paths

_STACK = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def _stack(context: click.Context, parameter: click.Parameter, value: str) -> str:
    del parameter
    # click takes an empty variable for none: `make down STACK=$UNSET` must not take down the default stack.
    defaulted = context.get_parameter_source("stack") is ParameterSource.DEFAULT
    return check_stack("" if defaulted and os.environ.get("STACK") == "" else value)


def check_stack(name: str) -> str:
    """The name, where it is a stack's; raises UserFacingError otherwise."""
    if not _STACK.fullmatch(name):
        raise UserFacingError(
            f"STACK is {name!r}; a stack's name has lower-case letters (a to z), digits and hyphens, begins and ends "
            "with a letter or a digit, and is at most 40 long.",
            "The stacks are the files Pulumi.<stack>.yaml; local is the default.",
        )
    return name


stack_option = click.option(
    "--stack", default="local", envvar="STACK", callback=_stack, help="The stack; local if not given."
)
config_option = click.option(
    "--config",
    "settings",
    envvar="CONFIG",
    type=click.Path(path_type=Path),
    help="The settings file; Pulumi.<stack>.yaml if not given.",
)


def session(stack: str, settings: Path | None = None) -> Session:
    """A command on a stack, begun now; `settings` is another settings file than the stack's."""
    return Session(Paths(), stack, time.monotonic(), settings)
