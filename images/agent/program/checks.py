"""What must be true of an agent's container: its workspace, its credentials and its tools. Each says what to do.

It runs with `python3 -IS`, where a start costs 10 ms: nothing may be imported that takes longer than its use.
"""

import errno
import json
import os
import stat

INVENTORY = "/usr/local/lib/agent/inventory.json"
"""Written when the image is built (images/agent/inventory.py)."""
WORKSPACE = "/workspace"
CREDENTIALS = ".claude/.credentials.json"
"""Below the home."""

MISSING, READ_ONLY, NOT_OURS, CREDENTIALS_UNREADABLE, SETTING, TOOL = range(81, 87)
"""Exit codes: outside of what a shell (126, 127), a signal (128 and more) or sysexits.h (64 to 78) uses."""


class RefusalError(Exception):
    """The container cannot do its work. The message says why and what to do."""

    def __init__(self, code: int, message: str) -> None:
        """`code` is what the container exits with."""
        super().__init__(message)
        self.code = code


def workspace() -> str:
    """Return the workspace's path."""
    return os.environ.get("AGENT_WORKSPACE") or WORKSPACE


def check_workspace() -> bool:
    """Raise RefusalError unless the workspace can be written to; return whether it is a mount of its own."""
    path = workspace()
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib is not loaded here, nor below
    except OSError as error:
        raise RefusalError(
            MISSING,
            f"the workspace {path} is not there ({error.strerror}): mount a volume at {path}, or name another place in "
            "AGENT_WORKSPACE",
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise RefusalError(MISSING, f"the workspace {path} is no folder: mount a volume there")
    mounted = is_mount(path)
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        if mounted:
            raise RefusalError(READ_ONLY, f"the workspace {path} is mounted read-only: mount it read-write")
        raise RefusalError(
            MISSING, f"no workspace is mounted at {path}, and the root is read-only: mount a volume there"
        )
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise RefusalError(
            NOT_OURS,
            f"the workspace {path} belongs to {found.st_uid}:{found.st_gid} with mode "
            f"{stat.S_IMODE(found.st_mode):04o}, and this container runs as {os.geteuid()}:{os.getegid()}: give the "
            f"folder to that user (chown {os.geteuid()}:{os.getegid()}; in Kubernetes: fsGroup), or run as its owner",
        )
    return mounted


def is_mount(path: str) -> bool:
    """Say whether something is mounted just there."""
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo", "rb") as lines:  # noqa: PTH123
        return any(line.split()[4].decode(errors="replace") == real for line in lines)


def may_be_there(path: str) -> bool:
    """Say whether something is there, or in a folder that this user cannot look into."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def check_credentials(home: str) -> None:
    """Raise RefusalError for credentials that were mounted and cannot be read. To have none is usual."""
    path = os.path.realpath(os.path.join(home, CREDENTIALS))  # noqa: PTH118
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            file.read(1)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        raise RefusalError(
            CREDENTIALS_UNREADABLE,
            f"the credentials {path} are a folder: the file that was to be mounted there does not exist on the host",
        ) from None
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            return
        raise RefusalError(
            CREDENTIALS_UNREADABLE,
            f"the credentials {path} cannot be read by user {os.geteuid()} ({error.strerror}): give the file to that "
            "user with mode 0400 and let it enter the file's folder, or mount none",
        ) from None


def check_settings() -> None:
    """Raise RefusalError for a variable that cannot mean anything."""
    given = os.environ.get("TIMEOUT_DEFAULT")
    if given and not (given.isdecimal() and int(given) > 0):
        raise RefusalError(SETTING, f"TIMEOUT_DEFAULT: {given!r} was given; allowed is a whole number above 0")
    given = os.environ.get("GIT_CONFIG_COUNT")
    if given and not (given.isascii() and given.isdecimal()):
        raise RefusalError(SETTING, f"GIT_CONFIG_COUNT: {given!r} was given; allowed is a whole number from 0, or none")
    given = os.environ.get("MCP_PROXY_URL")
    if given and not given.startswith(("http://", "https://")):
        raise RefusalError(SETTING, "MCP_PROXY_URL: allowed is an address that begins with http:// or https://")


def check_tools() -> None:
    """Raise RefusalError for a tool that is not the one that was built in, by its place, size and mode.

    They were started when the image was built, and the root is read-only: to start them again would find nothing more,
    and the slowest takes longer than the whole check may.
    """
    with open(INVENTORY, encoding="utf-8") as file:  # noqa: PTH123
        tools = json.load(file)["tools"]
    for name, tool in tools.items():
        try:
            found = os.stat(tool["path"])  # noqa: PTH116
        except OSError as error:
            raise RefusalError(TOOL, f"{name}: {tool['path']}: {error.strerror}") from None
        if found.st_size != tool["bytes"] or not os.access(tool["path"], os.X_OK):
            raise RefusalError(TOOL, f"{name}: {tool['path']} is not the program that the image was built with")
