"""What an agent job runs as: a bash script, so that the sandbox's runner has one kind of payload and no more to parse.

What a workspace brings along is another job's doing, perhaps that of an agent which was talked into something. So the
script turns off, for git, whatever a repository's own configuration could have run by name. It is written here and not
in the sandbox's image because an agent type may have an image of its own.
"""

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
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("gpg.program", "gpg"),
    ("protocol.file.allow", "user"),
    ("protocol.ext.allow", "never"),
    ("safe.bareRepository", "explicit"),
)
"""These stand above a repository's own. What has no harmless value (an
external diff) or no name that is known beforehand (filters, merge drivers) remains the repository's own."""


def agent_script(command: str | Sequence[str], folder: str | None) -> str:
    """Return the script that runs a command in a folder, or in the job's own where there is none.

    A text is a script of the same bash; a list is a program and its arguments, which bash does not look into.
    """
    settings = [*GIT_SETTINGS, *([("safe.directory", folder)] if folder is not None else [])]
    variables = {
        "HOME": HOME_FOLDER,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in enumerate(settings)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(settings)},
    }
    told = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    enter = "" if folder is None else f" && cd {shlex.quote(folder)} || exit 126"
    # On one line, so that bash's messages about a script's lines are off by one and no more.
    runs = command if isinstance(command, str) else "exec -- " + " ".join(shlex.quote(part) for part in command)
    return f"export {told}{enter}\n{runs}\n"
