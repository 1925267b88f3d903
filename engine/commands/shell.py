"""`make shell`: a shell in which plain `pulumi` works on these stacks."""

import os
import shlex
from pathlib import Path

from engine import configuration
from engine.commands.session import Session
from engine.launchers import script
from engine.report import say
from engine.targets import choice

# The commands that run the program write a salt beside the settings: they get a copy, made anew each time. With another
# stack or file named on the line, plain pulumi's own rules hold.
_WRAPPER = """#!/bin/sh
case " $* " in
  *" --config-file"*|*" -s "*|*" --stack"*) exec {engine} "$@" ;;
esac
case "$1" in
  up|update|preview|pre|refresh|destroy|import)
    (cd {root} && {copy}) || exit 1
    exec {engine} "$@" --config-file {settings} ;;
  *) exec {engine} "$@" ;;
esac
"""


def shell(session: Session, settings_file: Path | None) -> None:
    """Replace this process by the user's shell. Does not return."""
    source = configuration.source(session.paths, session.stack, settings_file)
    target = choice.of_settings(session, configuration.fleet_settings(source))
    cli = target.engine("shell")
    settings = configuration.copy(session.paths, session.stack, settings_file)
    session.initialise(cli)
    folder = session.paths.fleet / "engine" / "shell" / session.stack
    folder.mkdir(parents=True, exist_ok=True)
    python = session.paths.virtual_environment / "bin" / "python"
    copy = [str(python), "-m", "engine.commands.settings_copy", session.stack]
    words = {
        "engine": shlex.quote(str(session.paths.engine_programs / "pulumi")),
        "root": shlex.quote(str(session.paths.root)),
        "copy": shlex.join(copy + ([str(settings_file.resolve())] if settings_file else [])),
        "settings": shlex.quote(str(settings)),
    }
    script(folder / "pulumi", _WRAPPER.format_map(words))
    environment = cli.environment | {
        "PATH": f"{folder}{os.pathsep}{cli.environment['PATH']}",
        "PULUMI_STACK": session.stack,
        "VIRTUAL_ENV": str(session.paths.virtual_environment),
    }
    program = os.environ.get("SHELL") or "/bin/sh"
    say(f"`pulumi` works on the stack {session.stack} here: pulumi preview, pulumi stack, pulumi stack output.")
    say(f"It reads {os.path.relpath(source)}, as it is at each command. Leave with exit.")
    if config := cli.environment.get("KUBECONFIG"):
        say(f"`kubectl` here means the cluster of {config}: kubectl get pods -A -l agent-fleet.fleet={session.fleet}")
    os.chdir(session.paths.root)
    os.execve(program, [program], environment)  # noqa: S606 - becoming the user's own shell is the purpose
