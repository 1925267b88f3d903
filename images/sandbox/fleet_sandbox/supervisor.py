"""Sees one job's processes to their end, and passes on what they write."""

import _signal  # pyright: ignore[reportMissingImports] - signal itself would load more
import contextlib
import os
import select
import time

from fleet_sandbox.budget import CpuBudget
from fleet_sandbox.frames import send

KEPT_BYTES = 1_048_576
DRAINED_BYTES = 64 * 1024 * 1024
"""Of each output the first part is passed on and the rest read and dropped; one past the second ends the job."""
CHUNK_BYTES = 64 * 1024
DRAIN_SECONDS = 5.0
"""How long dead processes may take to go, so that one stuck in the kernel does not hold the result back."""


class Output:
    """One of the job's two output pipes."""

    def __init__(self, kind: bytes, read_end: int) -> None:
        """Take the pipe's reading end; `kind` is the letter of its frames."""
        self.kind = kind
        self.read_end = read_end
        os.set_blocking(self.read_end, False)
        self.seen = 0
        self.open = True

    def pump(self) -> bool:
        """Pass on what is there now; False if there was nothing, or no end left to write to it."""
        try:
            chunk = os.read(self.read_end, CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self.open = False
            return False
        if self.seen < KEPT_BYTES:
            send(self.kind, chunk[: KEPT_BYTES - self.seen])
        self.seen += len(chunk)
        return True


class Supervisor:
    """Sees one job to its end."""

    def __init__(self, child: int, outputs: tuple[Output, Output], wake: int, budget: CpuBudget | None) -> None:
        """Watch the child; `wake` becomes readable when one has ended, and `budget` may run out."""
        self.child = child
        self.budget = budget
        self.cpu_limit = False
        self.outputs = outputs
        self.wake = wake
        self.feeding: int | None = None
        self.stdin = memoryview(b"")
        self.status: int | None = None
        self.output_limit = False
        self.poll = select.poll()
        for descriptor in (0, wake, *(output.read_end for output in outputs)):
            self.poll.register(descriptor, select.POLLIN)

    def feed(self, descriptor: int, stdin: memoryview | None) -> None:
        """Give the job its standard input through this end of a pipe, as fast as it reads."""
        os.set_blocking(descriptor, False)
        self.feeding, self.stdin = descriptor, stdin or memoryview(b"")
        self.poll.register(descriptor, select.POLLOUT)
        self.feed_stdin(descriptor)

    def run(self) -> dict[str, object]:
        """Pass output on until the main process has ended, then end the rest and read what it left in the pipes."""
        while self.status is None:
            for descriptor, _ in self.poll.poll(None if self.budget is None else self.budget.milliseconds()):
                self.handle(descriptor)
            if self.budget is not None and self.budget.spent():
                self.cpu_limit = True
                kill_everything()
        kill_everything()
        self.drain()
        code = os.waitstatus_to_exitcode(self.status)
        return {
            "exit_code": code if code >= 0 else None,
            "signal": signal_name(-code) if code < 0 else None,
            "output_limit": self.output_limit,
            "cpu_limit": self.cpu_limit,
            "stdout_bytes": self.outputs[0].seen,
            "stderr_bytes": self.outputs[1].seen,
        }

    def handle(self, descriptor: int) -> None:
        """Do what one ready descriptor asks for."""
        if descriptor == 0:
            # K or the end of input: either way nobody wants the job to go on.
            self.poll.unregister(0)
            kill_everything()
        elif descriptor == self.wake:
            os.read(self.wake, 4096)
            self.reap()
        elif descriptor == self.feeding:
            self.feed_stdin(descriptor)
        else:
            output = self.outputs[0] if descriptor == self.outputs[0].read_end else self.outputs[1]
            output.pump()
            if not output.open:
                self.poll.unregister(descriptor)
            elif output.seen > DRAINED_BYTES and not self.output_limit:
                self.output_limit = True
                kill_everything()

    def feed_stdin(self, descriptor: int) -> None:
        """Write the next piece of standard input; close it at the end, or where nobody reads it."""
        try:
            self.stdin = self.stdin[os.write(descriptor, self.stdin[:CHUNK_BYTES]) :] if self.stdin else self.stdin
        except BlockingIOError:
            return
        except OSError:
            self.stdin = memoryview(b"")
        if not self.stdin:
            self.poll.unregister(descriptor)
            os.close(descriptor)
            self.feeding = None

    def reap(self) -> bool:
        """Collect everything that has ended, orphans too; False once there is no child left at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                self.status = status

    def drain(self) -> None:
        """Read to the end of both outputs, waiting at most DRAIN_SECONDS for killed processes to be gone."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while True:
            alive = self.reap()
            for output in self.outputs:
                while output.open and output.seen <= DRAINED_BYTES and output.pump():
                    pass
            if not alive or time.monotonic() > deadline:
                return
            self.poll.poll(20)
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake, 4096)


def kill_everything() -> None:
    """Kill every process of the sandbox but this one; as PID 1 that is what -1 means."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, _signal.SIGKILL)


def signal_name(number: int) -> str:
    """Return SIGKILL and so on; real-time signals by number."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
