"""What a job used, read inside its sandbox from the control group files that only the kernel can write.

They count every process of the sandbox, also those that a job's own processes never waited for, and the scratch space,
which is memory. Where there are none (gVisor) the figures are those of the processes that were waited for.
"""

import os
import re
import resource

_CPU = (
    ("/sys/fs/cgroup/cpu.stat", rb"usage_usec (\d+)", 1e-3),
    ("/sys/fs/cgroup/cpuacct/cpuacct.usage", rb"(\d+)", 1e-6),
)
_PEAK = (
    ("/sys/fs/cgroup/memory.peak", rb"(\d+)", 1.0),
    ("/sys/fs/cgroup/memory/memory.max_usage_in_bytes", rb"(\d+)", 1.0),
)
_OOM = (
    ("/sys/fs/cgroup/memory.events", rb"oom_kill (\d+)", 1.0),
    ("/sys/fs/cgroup/memory/memory.oom_control", rb"oom_kill (\d+)", 1.0),
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

    def end(self) -> dict[str, object]:
        """Return `cpu_ms`, `max_memory_bytes` and `oom_killed` of what ran since."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu, peak, oom = self._cpu.read(), self._peak.read(), self._oom.read()
        return {
            "cpu_ms": (children.ru_utime + children.ru_stime) * 1000 if cpu is None else cpu - self._before[0],
            "max_memory_bytes": children.ru_maxrss * 1024 if peak is None else int(peak),
            "oom_killed": oom is not None and oom > self._before[1],
        }


class _Counter:
    """One figure in the first of several files that exists and holds it."""

    def __init__(self, sources: tuple[tuple[str, bytes, float], ...]) -> None:
        self._descriptor: int | None = None
        for path, pattern, factor in sources:
            try:
                self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            self._pattern, self._factor = re.compile(pattern), factor
            if self.read() is not None:
                return
            os.close(self._descriptor)
            self._descriptor = None

    def read(self) -> float | None:
        """Return the figure now, or None where there is none."""
        if self._descriptor is None:
            return None
        try:
            found = self._pattern.search(os.pread(self._descriptor, 4096, 0))
        except OSError:
            return None
        return int(found[1]) * self._factor if found else None
