"""What a job used, read inside its sandbox from the control group files that only the kernel can write.

They count every process of the sandbox, also those that a job's own processes never waited for, and the scratch space,
which is memory. Where there are none (gVisor) the figures are those of the processes that live or were waited for.
"""

import contextlib
import os
import resource

_CPU = (
    ("/sys/fs/cgroup/cpu.stat", b"usage_usec ", 1e-3),
    ("/sys/fs/cgroup/cpuacct/cpuacct.usage", b"", 1e-6),
)
_PEAK = (
    ("/sys/fs/cgroup/memory.peak", b"", 1.0),
    ("/sys/fs/cgroup/memory/memory.max_usage_in_bytes", b"", 1.0),
)
_OOM = (
    ("/sys/fs/cgroup/memory.events", b"oom_kill ", 1.0),
    ("/sys/fs/cgroup/memory/memory.oom_control", b"oom_kill ", 1.0),
)


class Usage:
    """Opened while the sandbox waits, so that reading costs a job two system calls a figure."""

    def __init__(self) -> None:
        """Open what this kernel has, of version 2 or 1 of its control groups."""
        self._cpu = _Counter(_CPU)
        self._peak = _Counter(_PEAK)
        self._oom = _Counter(_OOM)
        self._before = (0.0, 0.0)

    def begin(self) -> None:
        """Remember where the counters stand before the job."""
        self._before = (self._cpu.read() or 0.0, self._oom.read() or 0.0)

    def cpu(self) -> float:
        """Return the seconds of processor time that the job has used so far."""
        now = self._cpu.read()
        return (_cpu_of_processes() if now is None else now - self._before[0]) / 1000

    def end(self) -> dict[str, object]:
        """Return `cpu_ms`, `max_memory_bytes` and `oom_killed` of what ran since."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak, oom = self._peak.read(), self._oom.read()
        return {
            "cpu_ms": self.cpu() * 1000,
            "max_memory_bytes": children.ru_maxrss * 1024 if peak is None else int(peak),
            "oom_killed": oom is not None and oom > self._before[1],
        }


def _cpu_of_processes() -> float:
    """Return the milliseconds of all processes but this one: of those that live, and of what they have waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib is not loaded here
        if name.isdecimal() and name != "1":
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - the same
                # After the program's name, which may hold anything: utime, stime, cutime and cstime.
                ticks += sum(int(field) for field in file.read().rpartition(b")")[2].split()[11:15])
    return (children.ru_utime + children.ru_stime) * 1000 + ticks * 1000 / os.sysconf("SC_CLK_TCK")


class _Counter:
    """One figure in the first of several files that exists and holds it."""

    def __init__(self, sources: tuple[tuple[str, bytes, float], ...]) -> None:
        self._descriptor: int | None = None
        for path, word, factor in sources:
            try:
                self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            self._word, self._factor = word, factor
            if self.read() is not None:
                return
            os.close(self._descriptor)
            self._descriptor = None

    def read(self) -> float | None:
        """Return the figure now, or None where there is none."""
        if self._descriptor is None:
            return None
        try:
            text = os.pread(self._descriptor, 4096, 0)
            # The figure follows its word, or stands alone.
            return int(text.partition(self._word)[2].split()[0] if self._word else text) * self._factor
        except (OSError, ValueError, IndexError):
            return None
