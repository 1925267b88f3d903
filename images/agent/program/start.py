"""The first process of an agent's container (A3): checks, then runs the command, or keeps the container for `exec`.

It passes signals on, collects what its children leave behind, and ends with the command's own exit code.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib would have to be loaded

from checks import (
    CREDENTIALS,
    MISSING,
    WORKSPACE,
    RefusalError,
    check_credentials,
    check_settings,
    check_workspace,
    may_be_there,
    workspace,
)

PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def main(command: Sequence[str]) -> int:
    """Return the exit code of the container."""
    try:
        home = own_home()
        check_settings()
        check_credentials(home)
        mounted = check_workspace()
        if not mounted and not command:
            raise RefusalError(
                MISSING,
                f"no workspace is mounted at {workspace()}, so all work would end with this container: mount a volume "
                "there",
            )
    except RefusalError as refusal:
        say(str(refusal))
        return refusal.code
    if not mounted:
        say(f"no workspace is mounted at {workspace()}: what is written there ends with this container")
    tell_programs(home)
    # Blocked before there is a child, so that none is lost between two lines.
    signals = {*PASSED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = run(command, before) if command else None
    return watch(child, signals)


def say(text: str) -> None:
    """Write a line to the container's log."""
    os.write(2, f"agent: {text}\n".encode(errors="replace"))


def own_home() -> str:
    """Return a home that can be written to: one in /tmp where the root is read-only, with the credentials linked in."""
    home = os.environ.get("HOME") or "/"
    if os.access(home, os.W_OK | os.X_OK):
        return home
    own = f"/tmp/home-{os.geteuid()}"  # noqa: S108 - made here, and not taken from anybody else
    try:
        os.mkdir(own, 0o700)  # noqa: PTH102
    except FileExistsError:
        if os.lstat(own).st_uid != os.geteuid() or os.path.islink(own):  # noqa: PTH114
            return home
    except OSError:
        return home
    given, linked = os.path.join(home, CREDENTIALS), os.path.join(own, CREDENTIALS)  # noqa: PTH118
    if may_be_there(given) and not os.path.lexists(linked):
        os.makedirs(os.path.dirname(linked), 0o700, exist_ok=True)  # noqa: PTH103, PTH120
        os.symlink(given, linked)  # noqa: PTH211
    return own


def tell_programs(home: str) -> None:
    """Set what the command's environment needs beyond the image's own."""
    os.environ["HOME"] = home
    # Programs disagree about the case, and node asks for a word of its own.
    for name in PROXIES:
        value = os.environ.get(name) or os.environ.get(name.lower())
        if value:
            os.environ[name] = os.environ[name.lower()] = value
            os.environ.setdefault("NODE_USE_ENV_PROXY", "1")
    if workspace() != WORKSPACE:
        # That one stands in the image's /etc/gitconfig, where `exec` finds it too.
        count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        os.environ[f"GIT_CONFIG_KEY_{count}"] = "safe.directory"
        os.environ[f"GIT_CONFIG_VALUE_{count}"] = workspace()
        os.environ["GIT_CONFIG_COUNT"] = str(count + 1)


def run(command: Sequence[str], mask: set[signal.Signals | int]) -> int:
    """Start the command in a process group of its own, in front where there is a terminal; return its process ID."""
    child = os.fork()
    if child:
        # Here too: a signal may have to be passed on before the child has come so far, as a terminal's first size has.
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        return child
    code = 127
    try:
        os.setpgid(0, 0)
        if os.isatty(0):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
            os.tcsetpgrp(0, os.getpid())
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], list(command))  # noqa: S606 - what the container is started for
    except FileNotFoundError:
        say(f"{command[0]}: not found")
    except OSError as error:
        code = 126
        say(f"{command[0]}: {error.strerror}")
    finally:
        os._exit(code)


def watch(child: int | None, signals: set[signal.Signals]) -> int:
    """Pass signals on until the command has ended; without one, stay until told to stop."""
    while True:
        number = signal.sigwait(signals)
        if number == signal.SIGCHLD:
            status = reap(child)
            if status is not None:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        elif child is not None:
            # The whole group: what a command has started is told as well, as a terminal would do it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(-child, number)
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            return 0


def reap(child: int | None) -> int | None:
    """Collect every process that has ended, orphans too; return the command's status if it is among them."""
    status = None
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
