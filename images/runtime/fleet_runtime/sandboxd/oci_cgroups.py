"""The kernel's control groups of sandboxes, version 2 or 1, as files: what was used up in one, and an end to it."""

import contextlib
import errno
import os
import re
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

WANTED = frozenset({"cpu", "memory", "pids"})
"""Controllers without which no sandbox is started."""
_MOUNTS = Path("/proc/self/mountinfo")
_OOM = {"memory.oom_control": r"^oom_kill (\d+)", "memory.events": r"^oom_kill (\d+)"}
_REMOVAL_SECONDS = 2.0
_RETRY_SECONDS = 0.002


class ControlGroups:
    """The groups below one path, which is the same in each hierarchy that the kernel has."""

    def __init__(self, parent: str, mounts: Path = _MOUNTS) -> None:
        """Look at what is mounted; `parent` begins with a slash and holds one group for each sandbox."""
        self.parent = parent
        self._hierarchies = dict(_hierarchies(mounts))

    @property
    def controllers(self) -> frozenset[str]:
        """What the kernel can limit here."""
        return frozenset(self._hierarchies)

    def path(self, name: str) -> str:
        """Return the path of a sandbox's group, as the runtime is told it."""
        return f"{self.parent}/{name}"

    def names(self) -> set[str]:
        """Return the sandboxes that have a group."""
        found: set[str] = set()
        for root in self._roots():
            with contextlib.suppress(FileNotFoundError):
                found |= {entry.name for entry in os.scandir(f"{root}{self.parent}") if entry.is_dir()}
        return found

    def ran_out_of_memory(self, name: str) -> bool:
        """Say whether the kernel has killed anything in it for memory."""
        for file, pattern in _OOM.items():
            if (found := self._read("memory", name, file, pattern)) is not None:
                return found > 0
        return False

    def destroy(self, name: str) -> None:
        """Kill what is left in it and remove it; raises OSError. Blocks for a moment, so call it in a thread."""
        deadline = time.monotonic() + _REMOVAL_SECONDS
        for root in self._roots():
            folder = Path(f"{root}{self.path(name)}")
            while folder.exists():
                # The runtime makes none below, and a sandbox cannot: its own are read-only.
                for process in _processes(folder):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(_RETRY_SECONDS)

    def leave(self) -> None:
        """Remove the path itself where no sandbox is left below it."""
        for root in self._roots():
            for path in (self.parent, self.parent.rpartition("/")[0]):
                with contextlib.suppress(OSError):
                    Path(f"{root}{path}").rmdir()

    def _roots(self) -> Collection[str]:
        return set(self._hierarchies.values())

    def _read(self, controller: str, name: str, file: str, pattern: str) -> int | None:
        root = self._hierarchies.get(controller)
        if root is None:
            return None
        try:
            found = re.search(pattern, Path(f"{root}{self.path(name)}/{file}").read_text(), re.MULTILINE)
        except OSError:
            return None
        return int(found[1]) if found else None


def _hierarchies(mounts: Path) -> Iterator[tuple[str, str]]:
    """Return each controller with the folder where its hierarchy is mounted; named ones of version 1 by their name."""
    unified: str | None = None
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        folder = before.split(" ")[4]
        if kind == "cgroup2":
            unified = unified or folder
        elif kind == "cgroup":
            for option in options.split(","):
                if option not in {"rw", "ro"}:
                    yield option, folder
    if unified is not None:
        yield "unified", unified
        with contextlib.suppress(OSError):
            for controller in Path(unified, "cgroup.controllers").read_text().split():
                yield controller, unified


def _processes(folder: Path) -> list[int]:
    try:
        found = (folder / "cgroup.procs").read_text().split()
    except OSError:
        return []
    # The kernel shows one of another PID namespace as 0, which to kill(2) means the caller's own process group.
    return [int(line) for line in found if line != "0"]
