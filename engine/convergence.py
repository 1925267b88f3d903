"""Puts right what an ended run left in the state, for any run to follow any other: locks, operations cut off."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

from engine.errors import UserFacingError
from engine.pulumi_cli import PulumiCli
from engine.report import Report
from engine.stack_state import StackState

_STOP_SECONDS = 30.0


def alive(process: int) -> bool:
    """Whether a process with this id runs and is no zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        if Path("/proc/self").exists():
            return False
    else:
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _is_engine(process: int) -> bool:
    with contextlib.suppress(OSError):
        return "pulumi" in Path(f"/proc/{process}/comm").read_text()
    return not Path("/proc/self").exists()


def end_abandoned_engine(pid_file: Path, report: Report) -> None:
    """End the engine of a run that was killed. The caller holds the stack's lock, so no living run owns it."""
    try:
        process = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    if process > 0 and alive(process) and _is_engine(process):
        report("A run before this one was killed and its engine still works: ending it.")
        for how in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, how)
            deadline = time.monotonic() + _STOP_SECONDS
            while alive(process) and time.monotonic() < deadline:
                time.sleep(0.1)
            if not alive(process):
                break
    pid_file.unlink(missing_ok=True)


def mend_attributes(state: StackState, report: Report) -> bool:
    """Remove what the engine was writing beside its checkpoints and cannot read. Return whether there was any."""
    if not state.drop_torn_attributes():
        return False
    report("The run before this one was cut off while it wrote its state: clearing that up.")
    return True


def mend_checkpoint(state: StackState, report: Report) -> bool:
    """Replace a damaged checkpoint by the one before, so that nothing looks like an orphan. Return whether it did."""
    if not state.exists() or state.readable():
        return False
    if not state.restore():
        raise UserFacingError(
            f"The state of the stack {state.stack} is damaged: neither {state.checkpoint} nor its backup is whole.",
            "Put a good copy back (.fleet/state/.pulumi/history has one for each run), or give the stack up with "
            "`make down`.",
        )
    report("The state was damaged (a full disk, or a crash while it was written): going on from the one before.")
    return True


def clear_locks(cli: PulumiCli, state: StackState, report: Report) -> bool:
    """Remove locks whose holders are gone. Return whether there were any."""
    locks = state.locks()
    for lock in locks:
        if lock.host == socket.gethostname() and alive(lock.process) and _is_engine(lock.process):
            raise UserFacingError(
                f"Another pulumi (process {lock.process}) is changing the stack {state.stack}.",
                "Let it end, or stop it, and run the command again.",
            )
    if not locks:
        return False
    report("The run before this one did not end in good order: clearing its lock.")
    cli.run("cancel", "--yes")
    for lock in state.locks():
        lock.path.unlink(missing_ok=True)
    return True


def clear_pending(cli: PulumiCli, state: StackState, report: Report) -> bool:
    """Forget operations that had only begun; what they made is found by its label. Return whether there were any."""
    pending = state.pending()
    if not pending:
        return False
    names = ", ".join(sorted(operation["resource"]["urn"].rpartition("::")[2] for operation in pending))
    report(f"Interrupted before it was done: {names}. Clearing that up.")
    document = json.loads(cli.checked("stack", "export"))
    document["deployment"]["pending_operations"] = []
    cli.checked("stack", "import", given=json.dumps(document))
    return True
