"""PID 1 of a sandbox: waits warm for one job, runs it in a child, and reports on its own standard output.

It is entered while Python starts (sitecustomize.py), in an interpreter started as `python3 main.py`. The runner waits
there, forks, and in the child of a Python job simply returns: the interpreter goes on to run main.py by itself, so
`__main__`, tracebacks, exit codes, threads and atexit are Python's own. The parent never returns.

A job runs under the runner's UID, so what keeps it from the runner's pipes, memory and descriptors is that the runner
is not dumpable (prctl) and that the child closes every descriptor but its own three. From inside its PID namespace PID
1 takes no signal that it has no handler for, SIGKILL and SIGSTOP among them.

On its input: one frame J with the payload (fleet_runtime/payload.py), later perhaps K (kill the job); end of input
means that nobody waits for the result. On its output: R ready, X refused (nothing ran), S started, 1 and 2 output,
E ended. A frame is one letter, a 4-byte big-endian length, and that many bytes.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import sys
from types import ModuleType

from fleet_sandbox import usage
from fleet_sandbox.frames import receive, send
from fleet_sandbox.job import MAIN_FILES, Job, JobError
from fleet_sandbox.supervisor import Output, Supervisor

PROGRAMS = {"bash": "/bin/bash", "node": "/usr/local/bin/node"}
WARM_MODULES = ("collections", "datetime", "functools", "math", "random", "re", "threading", "time", "traceback")
"""What most Python jobs import. Each costs every sandbox memory and every job a longer exit."""

PR_SET_DUMPABLE = 4
MADV_POPULATE_WRITE = 23
LIBC = ctypes.CDLL(None)


def main() -> None:
    """Be PID 1. Returns only in the child of a Python job."""
    try:
        if serve():
            return
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"runner: {type(error).__name__}: {error}\n".encode(errors="replace"))
        os._exit(70)
    os._exit(0)


def serve() -> bool:
    """Wait for a job and run it; True in the child that is to become the Python job."""
    if prctl(PR_SET_DUMPABLE, 0):
        raise OSError("the kernel did not make the runner undumpable")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for name in WARM_MODULES:
        importlib.import_module(name)
    meter = usage.Usage()
    outputs = (Output(b"1"), Output(b"2"))
    stdin, feed = os.pipe()
    go_read, go_write = os.pipe()
    warm_read, warm_write = os.pipe()
    gc.collect()
    gc.freeze()
    child = os.fork()
    if child == 0:
        wait_as_job((stdin, outputs[0].write_end, outputs[1].write_end), warm_write, go_read)
        return True
    for end in (stdin, outputs[0].write_end, outputs[1].write_end, warm_write, go_read):
        os.close(end)
    wake = wake_on_child()
    os.read(warm_read, 1)
    touch_memory()
    send(b"R", b"")
    payload = receive()
    signal.signal(signal.SIGCHLD, _nothing)
    if payload is None:
        return False
    try:
        job = Job(payload)
        job.write()
    except JobError as error:
        send(b"X", json.dumps({"code": "invalid_request", "message": str(error)}).encode())
        return False
    except OSError as error:
        message = f"the job's files cannot be written to its scratch space: {error.strerror}"
        send(b"X", json.dumps({"code": "invalid_request", "message": message}).encode())
        return False
    meter.begin()
    send(b"S", b"")
    os.write(go_write, (b"0" if job.stdin is None else b"1") + job.language.encode())
    supervisor = Supervisor(child, outputs, wake)
    supervisor.feed(feed, job.stdin)
    report = supervisor.run()
    send(b"E", json.dumps({**report, **meter.end()}).encode())
    return False


def wait_as_job(ends: tuple[int, int, int], warm: int, go: int) -> None:
    """In the child, forked ahead of the job: keep nothing of the runner, wait for the word, become the job.

    Returns for Python only. The child is forked early and touches its memory then, because the page faults after a fork
    would cost a short Python job more than everything else.
    """
    try:
        os.setsid()
        for number, end in enumerate(ends):
            os.dup2(end, number)
        warm, go = (os.dup2(end, number, inheritable=False) for number, end in ((100, warm), (101, go)))
        os.closerange(3, warm)
        os.closerange(go + 1, os.sysconf("SC_OPEN_MAX"))
        prctl(PR_SET_DUMPABLE, 1)
        # Where memory runs out, of the sandbox or of the host, jobs go first.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")
        for name in [name for name in sys.modules if name.partition(".")[0] == "fleet_sandbox"]:
            del sys.modules[name]
        fresh_main()
        touch_memory()
        os.write(warm, b"w")
        os.close(warm)
        word = os.read(go, 100).decode()
        os.close(go)
        if word[:1] == "0":
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
            os.close(null)
        language = word[1:]
        if language == "python":
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execv(PROGRAMS[language], [language, MAIN_FILES[language]])  # noqa: S606 - this is what the sandbox is for
    except BaseException as error:
        os.write(2, f"the job cannot be started: {error}\n".encode(errors="replace"))
        os._exit(127)


def fresh_main() -> None:
    """Give the job a `__main__` that the collector sees: it skips what was there when the runner froze it.

    Freezing spares every job a collection of all that the warm interpreter holds; but with a frozen `__main__` no
    object of a job would be finalised at its end.
    """
    old = sys.modules["__main__"]
    fresh = ModuleType("__main__")
    fresh.__dict__.update(old.__dict__)
    sys.modules["__main__"] = fresh


def touch_memory() -> None:
    """Take the page faults of a fork now; a kernel that does not know how (before 5.14) takes them later."""
    with open("/proc/self/maps") as file:  # noqa: PTH123
        lines = file.read().splitlines()
    for line in lines:
        if " rw-p " in line and "[stack]" not in line:
            start, _, end = line.partition(" ")[0].partition("-")
            first = int(start, 16)
            LIBC.madvise(ctypes.c_void_p(first), ctypes.c_size_t(int(end, 16) - first), MADV_POPULATE_WRITE)


def wake_on_child() -> int:
    """Return a descriptor that becomes readable whenever a child may have ended."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.signal(signal.SIGCHLD, _child_lost)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def _child_lost(*_: object) -> None:
    """End a sandbox whose child has died before any job came; another takes its place."""
    os._exit(71)


def _nothing(*_: object) -> None:
    """Handle SIGCHLD only so that it wakes the loop."""


def prctl(option: int, value: int) -> int:
    """Call prctl(2), which Python has no function for."""
    return LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0)
