"""Workers on emulated EC2 hosts that are taken away: by an interruption, by their group, or after a recommendation."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emulated_ec2 import EmulatedEc2, Instance
from fleet_runtime.worker.host_departure import HAND_BACK_SECONDS
from runtime_processes import Process, Stack

WAYS = ("interruption", "termination", "recommendation, then interruption", "recommendation, then termination")
JOBS_AT_ONCE = 2
"""Of a host."""
_DRAIN_SECONDS = 2.0
_HOOK_SECONDS = 90.0
"""How long a group waits at its hook before it ends the host without it."""
_MOST_LEAVING = 10
"""Each has its successor beside it already, and a machine with too many processes tests itself."""
_STOP_SECONDS = 60.0
"""How long a worker with nothing left may take to end: far more than it needs, because a busy machine is no fault."""


@dataclass
class Host:
    """One host: its instance, and the worker on it."""

    instance: Instance
    worker: Process

    def events(self, name: str) -> list[dict[str, object]]:
        """The lines of its log that are called so."""
        return [line for line in self.worker.lines() if line["event"] == name]


@dataclass
class Hosts:
    """As many hosts in service as there are to be: one that goes is replaced at once, as a group does."""

    stack: Stack
    ec2: EmulatedEc2
    folder: Path
    chosen: random.Random
    serving: list[Host] = field(default_factory=list[Host])
    gone: list[Host] = field(default_factory=list[Host])
    ways: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])
    _leaving: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def launch(self) -> None:
        """Put one more host into service."""
        instance = self.ec2.launch()
        run = self.folder / instance.id
        run.mkdir()
        worker = self.stack.start_worker(
            **self.ec2.environment(instance),
            SANDBOXD_SOCKET=str(run / "sandboxd.sock"),
            CONCURRENCY=str(JOBS_AT_ONCE),
            DRAIN_SECONDS=f"{_DRAIN_SECONDS:g}",
            HOST_NOTICES_SECONDS="1",
            LIFECYCLE_HEARTBEAT_SECONDS="1",
        )
        self.serving.append(Host(instance, worker))

    def ready(self) -> bool:
        """Whether another may be taken away: not too many are leaving."""
        return sum(each.is_alive() for each in self._leaving) < _MOST_LEAVING

    def take_away(self) -> None:
        """Take a host away, in a way that is chosen, and put another into service."""
        host = self.serving.pop(self.chosen.randrange(len(self.serving)))
        way = self.chosen.choice(WAYS)
        self.ways[way] += 1
        # Enough for some jobs to end, and too little for others.
        seconds, pause = HAND_BACK_SECONDS + self.chosen.uniform(0.5, 4), self.chosen.uniform(0.5, 3)
        thread = threading.Thread(target=self._see_off, args=(host, way, seconds, pause), name=host.instance.id)
        self._leaving.append(thread)
        thread.start()
        self.launch()

    def settle(self) -> None:
        """Wait until all that leave are gone."""
        for thread in self._leaving:
            thread.join()

    def _see_off(self, host: Host, way: str, seconds: float, pause: float) -> None:
        if way.startswith("recommendation"):
            host.instance.recommend_rebalance()
            threading.Event().wait(pause)
        if way.endswith("interruption"):
            self._interrupt(host, seconds)
        else:
            self._terminate(host)
        self.gone.append(host)

    def _interrupt(self, host: Host, seconds: float) -> None:
        """The instance is gone when its time is over, whatever runs on it then."""
        host.instance.interrupt(seconds)
        threading.Event().wait(seconds)
        host.worker.kill()

    def _terminate(self, host: Host) -> None:
        """The instance is shut down when its hook is completed."""
        host.instance.target("Terminated")
        if not host.instance.completed.wait(_HOOK_SECONDS):
            self.problems.append(f"{host.instance.id}: its hook was not completed in {_HOOK_SECONDS:g} s")
        host.worker.terminate()
        if not _until(lambda: host.worker.popen.poll() is not None, _STOP_SECONDS):
            last = [(line["timestamp"], line["event"]) for line in host.worker.lines()][-5:]
            self.problems.append(f"{host.instance.id}: its worker did not end in {_STOP_SECONDS:g} s: {last}")
            host.worker.kill()

    def left_jobs_behind(self) -> list[str]:
        """The hosts that went with jobs, or without having heard that they were to go."""
        return [
            host.instance.id
            for host in self.gone
            # One that went before its worker had started had none.
            if host.events("worker_started")
            and ([line["abandoned"] for line in host.events("drained")] != [0] or not host.events("host_notice"))
        ]


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        threading.Event().wait(0.05)
    return True
