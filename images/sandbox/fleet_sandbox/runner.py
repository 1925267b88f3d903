"""PID 1 of a sandbox: waits warm for one job, gives it to the child that waits for it, and reports how it ended.

PID 1 is entered while Python starts (sitecustomize.py), in an interpreter started as `python3 main.py`. It waits there,
and in the child of a Python job simply returns: the interpreter goes on to run main.py by itself, so `__main__`,
tracebacks, exit codes, threads and atexit are Python's own. The parent never returns.

A job runs under the runner's UID, so what keeps it from the runner's pipes, memory and descriptors is that the runner
is not dumpable (prctl) and that the child keeps no descriptor but its own three. From inside its PID namespace PID 1
takes no signal that it has no handler for, SIGKILL and SIGSTOP among them.

On its input: perhaps H (say again that you are ready), perhaps L (the job's limit of processor time), one frame J with
the payload (fleet_runtime/payload.py), later perhaps K (kill the job); end of input means that nobody waits for the
result. On its output: R ready, X refused (nothing ran), S started, 1 and 2 output, E ended. A frame is one letter, a
4-byte big-endian length, and that many bytes. Nothing of a job can answer an H: there is no job before J, and none is
answered after it.
"""

import _signal  # pyright: ignore[reportMissingImports] - signal itself would load more
import os
import select
import time

from fleet_sandbox import library, limits, memory, plain_json, usage
from fleet_sandbox.budget import CpuBudget
from fleet_sandbox.frames import receive, send
from fleet_sandbox.job import Job, JobError
from fleet_sandbox.supervisor import Output, Supervisor

PR_SET_DUMPABLE = 4
HEARD_SECONDS = 10.0
"""How long an ended job's sandbox waits to be taken down, before it goes by itself."""


def serve(child: int, stdin: int, output_ends: tuple[int, int], go: int, warm: int, *, in_haste: bool) -> None:
    """Wait for a job and see it to its end; `in_haste` means that it is there already."""
    if library.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError("the kernel did not make the runner undumpable")
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    # Told to stop it has nothing to lose while it waits; with a job it goes on for as long as it is left to.
    _signal.signal(_signal.SIGTERM, _leave)
    limits.lower(child)
    meter = usage.Usage()
    outputs = (Output(b"1", output_ends[0]), Output(b"2", output_ends[1]))
    os.read(warm, 1)
    if not in_haste:
        memory.touch(child)
        memory.touch_own()
    wake = wake_on_child(child)
    received = receive()
    if received is None:
        return
    payload, cpu_seconds = received
    _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
    try:
        job = Job(payload)
        job.write()
    except JobError as error:
        refuse(str(error))
        return
    except OSError as error:
        refuse(f"the job's files cannot be written to its scratch space: {error.strerror}")
        return
    _signal.signal(_signal.SIGCHLD, _nothing)
    # A pod that is told to stop lets its job end within the grace period.
    _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
    meter.begin()
    send(b"S", b"")
    os.write(go, (b"0" if job.stdin is None else b"1") + job.language.encode())
    supervisor = Supervisor(child, outputs, wake, None if cpu_seconds is None else CpuBudget(cpu_seconds, meter.cpu))
    supervisor.feed(stdin, job.stdin)
    report = supervisor.run()
    send(b"E", plain_json.dumps({**report, **meter.end()}).encode())
    stay_until_heard()


def refuse(message: str) -> None:
    """Say that nothing of the job was started, and why."""
    send(b"X", plain_json.dumps({"code": "invalid_request", "message": message}).encode())
    stay_until_heard()


def stay_until_heard() -> None:
    """Stay until whoever reads the frames is done with this sandbox, which closes or kills it.

    What a container has written when it ends may never reach those attached to it: containerd closes their streams with
    the container, whatever is still on its way.
    """
    deadline = time.monotonic() + HEARD_SECONDS
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0 and poll.poll(left * 1000):
        if not os.read(0, 4096):
            return


def wake_on_child(child: int) -> int:
    """Return a descriptor that becomes readable whenever a child may have ended.

    Until there is a job, the end of the child ends the sandbox: another takes its place.
    """

    def child_lost(*_: object) -> None:
        if os.waitpid(child, os.WNOHANG)[0]:
            os._exit(71)

    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    _signal.signal(_signal.SIGCHLD, child_lost)
    _signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    # What ended before there was anybody to be told will not be told again.
    child_lost()
    return read_end


def _leave(*_: object) -> None:
    os._exit(0)


def _nothing(*_: object) -> None:
    """Handle SIGCHLD only so that it wakes the loop."""
