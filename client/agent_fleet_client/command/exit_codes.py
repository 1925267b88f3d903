"""The command's exit codes. A program's own are passed on as they are; those of the command itself begin at 120."""

import signal

from agent_fleet_client.results import Result

WRONG_USE = 120
"""Arguments, files or configuration are wrong; nothing was sent."""
REFUSED = 121
"""The fleet refused the request: its reason is shown."""
NOT_ENDED = 122
"""The job has not ended yet."""
STOPPED = 123
"""The job was stopped, or its sandbox died: too much output, `sandbox_terminated` and the like."""
TIMED_OUT = 124
"""The job ran longer than its time."""
LOST = 125
"""The fleet's hosts failed the job, as often as it may be tried."""
UNREACHABLE = 126
"""The fleet does not answer."""
UNUSABLE = 127
"""The fleet does not accept now, or what answered is not understood."""
CANCELLED = 130
"""The job was cancelled, or Ctrl-C was pressed."""
PIPE_CLOSED = 141
"""Who read the output went away: as a shell shows SIGPIPE."""

_STATES = {"timed_out": TIMED_OUT, "lost": LOST, "cancelled": CANCELLED, "queued": NOT_ENDED, "running": NOT_ENDED}
_SIGNAL_BASE = 128


def of_result(result: Result) -> int:
    """Return the exit code that stands for a job: its program's, 128 and the signal that ended it, or one above."""
    if result.exit_code is not None and result.status in ("succeeded", "failed"):
        return result.exit_code
    if result.status in _STATES:
        return _STATES[result.status]
    if result.signal is not None and (result.error is None or result.error.code == "out_of_memory"):
        return of_signal(result.signal)
    return STOPPED


def of_signal(name: str) -> int:
    """Return what a shell shows for a program that a signal ended."""
    try:
        return _SIGNAL_BASE + signal.Signals[name]
    except KeyError:
        return STOPPED
