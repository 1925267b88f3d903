"""`make shell`: a shell in which plain `pulumi` works on these stacks."""

import os
import shlex
from pathlib import Path

from engine import configuration
from engine.commands.session import Session
from engine.launchers import script
from engine.report import say

# The commands that run the program write a salt beside the settings: they get the copy. With another stack named on
# the line, plain pulumi's own rules hold.
_WRAPPER = """#!/bin/sh
case " $* " in
  *" --config-file"*|*" -s "*|*" --stack"*) exec {engine} "$@" ;;
esac
case "$1" in
  up|update|preview|pre|refresh|destroy|import) exec {engine} "$@" --config-file {settings} ;;
  *) exec {engine} "$@" ;;
esac
"""


def shell(session: Session, settings_file: Path | None) -> None:
    """Replace this process by the user's shell. Does not return."""
    cli = session.engine()
    settings = configuration.copy(session.paths, session.stack, settings_file)
    session.initialise(cli)
    folder = session.paths.fleet / "engine" / "shell" / session.stack
    folder.mkdir(parents=True, exist_ok=True)
    engine = session.paths.engine_programs / "pulumi"
    script(folder / "pulumi", _WRAPPER.format(engine=shlex.quote(str(engine)), settings=shlex.quote(str(settings))))
    environment = cli.environment | {
        "PATH": f"{folder}{os.pathsep}{cli.environment['PATH']}",
        "PULUMI_STACK": session.stack,
        "VIRTUAL_ENV": str(session.paths.virtual_environment),
    }
    program = os.environ.get("SHELL") or "/bin/sh"
    say(f"`pulumi` works on the stack {session.stack} here: pulumi preview, pulumi stack, pulumi stack output.")
    say(f"It reads the settings as {settings.relative_to(session.paths.root)}, copied now. Leave with exit.")
    os.chdir(session.paths.root)
    os.execve(program, [program], environment)  # noqa: S606 - becoming the user's own shell is the purpose
