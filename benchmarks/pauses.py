"""What a pause alone costs: the same requests one after another, and each after a pause, as those of few users come.

In a pause a processor sleeps, and its caches are filled by others. A second series keeps the processors awake by a
program of the lowest priority that touches no memory, so that what is left of the difference is the caches'.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import uvloop

from benchmarks.arrivals import JOB
from benchmarks.connections import connect, request
from benchmarks.figures import Figure
from benchmarks.processes import Processes, api_and_database

_PAUSE_SECONDS = 0.3
_ROUNDS = 3
_IN_A_ROW = 60
_APART = 12
_AWAKE_SECONDS = 120
_AWAKE = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    for _ in range(1_000_000):
        pass
"""


def pauses() -> Iterator[Figure]:
    """Measure a request that needs no work, and a job that is accepted while there is no worker."""
    with api_and_database() as fleet:
        found: dict[tuple[str, bool, float], list[float]] = {}
        for _ in range(_ROUNDS):
            for awake in (False, True):
                with _kept_awake() if awake else nullcontext():
                    uvloop.run(_ask(fleet, awake, found))
    for what in _requests(fleet):
        for awake in (False, True):
            name = f"{what}, {1000 * _PAUSE_SECONDS:.0f} ms after the last one"
            how = f"{_ROUNDS * _APART} of them, in turns with {_ROUNDS * _IN_A_ROW} one after another"
            yield Figure(
                f"{name}, processors kept awake, p50" if awake else f"{name}, p50",
                statistics.median(found[what, awake, _PAUSE_SECONDS]),
                "ms",
                how,
                "one after another, p50",
                statistics.median(found[what, awake, 0.0]),
                samples=_ROUNDS * _APART,
            )


def _requests(fleet: Processes) -> dict[str, bytes]:
    return {
        "an answer that needs no work (GET /health)": request("GET", "/health", fleet.key),
        "a job accepted (POST /execute, no worker there)": request("POST", "/execute", fleet.key, JOB),
    }


async def _ask(fleet: Processes, awake: bool, found: dict[tuple[str, bool, float], list[float]]) -> None:
    connection = await connect(fleet.ports[0])
    try:
        for what, whole in _requests(fleet).items():
            for pause, count in ((0.0, _IN_A_ROW), (_PAUSE_SECONDS, _APART)):
                times = found.setdefault((what, awake, pause), [])
                for _ in range(count):
                    await asyncio.sleep(pause)
                    began = time.perf_counter()
                    status, _ = await connection.ask(whole)
                    times.append((time.perf_counter() - began) * 1000)
                    if status >= 400:
                        raise SystemExit(f"{what} gave {status}")
    finally:
        connection.close()


@contextmanager
def _kept_awake() -> Generator[None]:
    """One such program on each processor; it ends by itself should nobody end it."""
    with ExitStack() as running:
        for processor in os.sched_getaffinity(0):
            command = [sys.executable, "-c", _AWAKE, str(processor), str(_AWAKE_SECONDS)]
            process = running.enter_context(subprocess.Popen(command))
            running.callback(process.kill)
        yield
