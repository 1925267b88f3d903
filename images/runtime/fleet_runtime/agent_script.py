"""What an agent job runs as: a text is a bash script, a list is a program that the runner starts without any shell.

What a workspace brings along is another job's doing, perhaps that of an agent which was talked into something. So the
script turns off, for git, whatever a repository's own configuration could have run by name. It is written here and not
in the sandbox's image because an agent type may have an image of its own.
"""

import json
import shlex
from collections.abc import Sequence

WORKSPACE_FOLDER = "/workspace"
"""Where sandboxd mounts a workspace."""
HOME_FOLDER = "/tmp"  # noqa: S108 - the sandbox's own, in memory and gone with it
"""Nothing that an agent leaves in its home is there for the next."""

GIT_SETTINGS = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.sshCommand", "ssh"),
    ("core.pager", "cat"),
    ("core.editor", "true"),
    ("sequence.editor", "true"),
    ("core.askPass", ""),
    ("core.alternateRefsCommand", "true"),
    ("credential.helper", ""),
    ("gpg.program", "gpg"),
    ("gpg.x509.program", "gpgsm"),
    ("gpg.ssh.program", "ssh-keygen"),
    ("gpg.ssh.defaultKeyCommand", "true"),
    ("protocol.file.allow", "user"),
    ("protocol.ext.allow", "never"),
    ("safe.bareRepository", "explicit"),
)
"""These stand above a repository's own. What has no harmless value (an
external diff) or no name that is known beforehand (filters, merge drivers) remains the repository's own."""


def agent_script(script: str, folder: str | None) -> str:
    """Return the script that runs a script of the same bash in a folder, or in the job's own where there is none."""
    told = " ".join(f"{name}={shlex.quote(value)}" for name, value in agent_environment(folder).items())
    enter = "" if folder is None else f" && cd {shlex.quote(folder)} || exit 126"
    # On one line, so that bash's messages about a script's lines are off by one and no more.
    return f"export {told}{enter}\n{script}\n"


def agent_program(arguments: Sequence[str], folder: str | None) -> str:
    """Return what the runner is told of a program and its arguments (fleet_sandbox/program.py reads it)."""
    told = {"arguments": list(arguments), "folder": folder, "environment": agent_environment(folder)}
    # Not as ASCII: what is no valid Unicode is to be refused with the payload, and not to hide in an escape.
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def given_script(script: str) -> str:
    """Return the script that `agent_script` was given."""
    return script.partition("\n")[2].removesuffix("\n")


def given_arguments(program: str) -> list[str]:
    """Return the arguments that `agent_program` was given; raises ValueError, KeyError for what is none of its."""
    return [str(each) for each in json.loads(program)["arguments"]]


def agent_environment(folder: str | None) -> dict[str, str]:
    """Return what both are given beside the image's own variables."""
    settings = [*GIT_SETTINGS, *([("safe.directory", folder)] if folder is not None else [])]
    return {
        "HOME": HOME_FOLDER,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        # Of core.gitProxy the first value counts, which is the repository's; none, from here, counts before it.
        "GIT_PROXY_COMMAND": "",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in enumerate(settings)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(settings)},
    }
