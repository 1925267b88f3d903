"""Takes the page faults of a fork ahead of the job: they would cost a short one more than everything else.

A kernel on which one of these ways does not work takes the faults later; nothing else changes.
"""

import _signal  # pyright: ignore[reportMissingImports] - signal itself would load more
import contextlib
import os

from fleet_sandbox import library

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENTRY_BYTES = 8
_PRESENT_BIT = 63
_MADV_POPULATE_WRITE = 23


def touch(pid: int) -> None:
    """Write every page of a child's memory that is there, with what it holds; the child stands still meanwhile."""
    os.kill(pid, _signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    try:
        with contextlib.suppress(OSError):
            descriptors = [os.open(f"/proc/{pid}/{name}", mode) for name, mode in (("pagemap", 0), ("mem", os.O_RDWR))]
            pagemap, memory = descriptors
            for start, end in _writable(pid):
                for first, last in _present(pagemap, start, end):
                    os.pwrite(memory, os.pread(memory, last - first, first), first)
            for descriptor in descriptors:
                os.close(descriptor)
    finally:
        os.kill(pid, _signal.SIGCONT)


def touch_own() -> None:
    """Do the same for the calling process."""
    for start, end in _writable(os.getpid()):
        library.call("madvise", start, end - start, _MADV_POPULATE_WRITE)


def _writable(pid: int) -> list[tuple[int, int]]:
    """Return the private writable ranges of a process, without its stack, which grows by itself."""
    with open(f"/proc/{pid}/maps") as file:  # noqa: PTH123 - pathlib is not loaded here
        lines = [line for line in file if " rw-p " in line and "[stack]" not in line]
    ranges = [line.partition(" ")[0].split("-") for line in lines]
    return [(int(start, 16), int(end, 16)) for start, end in ranges]


def _present(pagemap: int, start: int, end: int) -> list[tuple[int, int]]:
    """Return the parts of a range that are in memory."""
    entries = os.pread(pagemap, (end - start) // _PAGE * _ENTRY_BYTES, start // _PAGE * _ENTRY_BYTES)
    found: list[tuple[int, int]] = []
    address = start
    for entry in memoryview(entries).cast("Q"):
        if entry >> _PRESENT_BIT & 1:
            if found and found[-1][1] == address:
                found[-1] = (found[-1][0], address + _PAGE)
            else:
                found.append((address, address + _PAGE))
        address += _PAGE
    return found
