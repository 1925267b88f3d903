"""Processes that outlive the command which started them, and are known again by the next one.

A process is known by its id together with the time of its start, since ids are used again; and where the record was
lost (a command killed between start and record), by its whole command line, which names files of this cluster.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.report import private_file

_PROC = Path("/proc")
_LOG_BYTES = 20 * 1024**2


@dataclass(frozen=True)
class Process:
    """One process, now."""

    pid: int
    started: int  # clock ticks after boot, /proc/PID/stat field 22

    def runs(self) -> bool:
        """Whether it is still this process, and no zombie."""
        return find(self.pid) == self

    def send(self, number: int) -> None:
        """Signal it if it is still this process."""
        with contextlib.suppress(ProcessLookupError):
            if self.runs():
                os.kill(self.pid, number)


def find(pid: int) -> Process | None:
    """The process with an id; None where there is none, or a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in ("Z", "X") else Process(pid, int(fields[19]))


def command_line(pid: int) -> list[str]:
    """The arguments of a process, its program first; empty where it has ended."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def all_ids() -> list[int]:
    """The ids of all processes."""
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


@dataclass(frozen=True)
class Part:
    """A program of the cluster: how it is started, and the files that it reads at its start."""

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...] = ()

    def fingerprint(self) -> str:
        """Another one means that a running process was started otherwise than it would be now."""
        digest = hashlib.sha256("\0".join(self.command).encode())
        for path in self.inputs:
            digest.update(b"\0" + (path.read_bytes() if path.exists() else b""))
        return digest.hexdigest()


class Supervisor:
    """Starts, finds and ends the parts of one cluster."""

    def __init__(self, records: Path, logs: Path) -> None:
        """`records` holds a file for each part, `logs` its log."""
        self._records = records
        self._logs = logs

    def log(self, part: Part) -> Path:
        """Where a part's output goes."""
        return self._logs / f"{part.name}.log"

    def _record(self, name: str) -> Path:
        return self._records / f"{name}.json"

    def _recorded(self, name: str) -> tuple[Process, str] | None:
        try:
            record = json.loads(self._record(name).read_text())
            return Process(int(record["pid"]), int(record["started"])), str(record["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def process(self, part: Part) -> Process | None:
        """The part's process if it runs, however it was started."""
        recorded = self._recorded(part.name)
        if recorded is not None and recorded[0].runs():
            return recorded[0]
        wanted = list(part.command)
        for pid in all_ids():
            if command_line(pid) == wanted:
                return find(pid)
        return None

    def is_current(self, part: Part) -> bool:
        """Whether it runs, started as it would be now."""
        recorded = self._recorded(part.name)
        return recorded is not None and recorded[1] == part.fingerprint() and recorded[0].runs()

    def start(self, part: Part) -> Process:
        """Start it in a session of its own, which Ctrl-C in a terminal does not reach, and record it."""
        log = self.log(part)
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fingerprint = part.fingerprint()
        with os.fdopen(descriptor, "ab") as file:
            child = subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        process = find(child.pid) or Process(child.pid, 0)
        record = {"pid": process.pid, "started": process.started, "fingerprint": fingerprint}
        private_file(self._record(part.name), json.dumps(record))
        return process

    def forget(self, name: str) -> None:
        """Remove the record of an ended part."""
        self._record(name).unlink(missing_ok=True)

    def recorded(self) -> dict[str, Process]:
        """Every part on record that runs, by name; also those that this version of the project does not know."""
        found: dict[str, Process] = {}
        for path in self._records.glob("*.json") if self._records.is_dir() else ():
            recorded = self._recorded(path.stem)
            if recorded is not None and recorded[0].runs():
                found[path.stem] = recorded[0]
        return found


def end(processes: Iterable[Process], seconds: float = 10.0) -> None:
    """Ask them to end, and kill what has not ended after some seconds."""
    wanted = list(processes)
    for process in wanted:
        process.send(signal.SIGTERM)
    if not gone(wanted, seconds):
        for process in wanted:
            process.send(signal.SIGKILL)
        gone(wanted, 10)


def gone(processes: Sequence[Process], seconds: float) -> bool:
    """Wait until they have ended; False when some have not by then."""
    deadline = time.monotonic() + seconds
    while any(process.runs() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
