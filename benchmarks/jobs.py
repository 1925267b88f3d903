"""How long a job takes through the API, and how many go through, beside Docker's own commands."""

import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.figures import Figure, percentile
from benchmarks.fleet import Fleet
from benchmarks.sandbox import HARDENED

PROGRAM = "print(6 * 7)"
_PAUSE_SECONDS = 0.3
"""Between two jobs: the pool has then replaced the sandbox that the last one used."""


def latency(fleet: Fleet, jobs: int) -> Iterator[Figure]:
    """A job at rest, measured in turns with Docker's commands, because a machine's load changes."""
    client = fleet.client()
    image = fleet.sandbox_image()
    python = ["--entrypoint=python3", image, "-c", PROGRAM]
    server = subprocess.check_output(
        ["docker", "run", "-d", "--label", fleet.label, *HARDENED, "--entrypoint=sleep", image, "3600"], text=True
    ).strip()
    ours: list[float] = []
    runs: list[float] = []
    execs: list[float] = []
    warm = 0
    try:
        for number in range(jobs + 10):
            time.sleep(_PAUSE_SECONDS)
            began = time.perf_counter()
            result = client.run(PROGRAM)
            took = (time.perf_counter() - began) * 1000
            # The first few fill caches and open connections.
            if number >= 10:
                ours.append(took)
                warm += bool(result["warm"])
            if number % 5 == 4:
                runs.append(_timed(["docker", "run", "--rm", *HARDENED, *python]))
                execs.append(_timed(["docker", "exec", server, "python3", "-c", PROGRAM]))
    finally:
        subprocess.run(["docker", "rm", "-f", server], check=False, stdout=subprocess.DEVNULL)
    how = f"POST /execute with Prefer: wait, one after another, {1000 * _PAUSE_SECONDS:.0f} ms apart"
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        mine = percentile(ours, share)
        for other, theirs in (("hardened docker run --rm", runs), ("docker exec", execs)):
            yield Figure(
                f"python job through the API, {name}, against {other}",
                mine,
                "ms",
                how,
                f"{other}, same image, {name}",
                percentile(theirs, share),
                samples=len(ours),
            )
    yield Figure("python jobs through the API that found a warm sandbox", 100 * warm / len(ours), "%", how)


def throughput(fleet: Fleet, seconds: float) -> Iterator[Figure]:
    """Jobs in a second with four clients that each send the next job when the last has ended."""
    image = fleet.sandbox_image()
    command = ["docker", "run", "--rm", *HARDENED, "--entrypoint=python3", image, "-c", PROGRAM]

    def by_api() -> Callable[[], object]:
        client = fleet.client()
        return lambda: client.run(PROGRAM)

    def by_docker() -> Callable[[], object]:
        return lambda: _timed(command)

    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(2):
        ours.append(_sustained(by_api, seconds / 2))
        theirs.append(_sustained(by_docker, seconds / 2))
    yield Figure(
        "python jobs through the API, 4 at a time, sustained",
        statistics.mean(ours),
        "jobs/s",
        f"4 clients in a closed loop, twice {seconds / 2:.0f} s, in turns",
        "hardened docker run --rm, 4 at a time",
        statistics.mean(theirs),
        more_is_better=True,
    )


def _timed(command: list[str]) -> float:
    """Milliseconds that a command takes, its start included."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def _sustained(worker: Callable[[], Callable[[], object]], seconds: float) -> float:
    """Calls in a second by four threads, after a quarter of the time to get going."""
    begin = time.monotonic() + seconds / 4
    end = begin + seconds
    counts = [0] * 4
    failures: list[BaseException] = []

    def loop(number: int) -> None:
        try:
            call = worker()
            while time.monotonic() < end:
                call()
                counts[number] += begin <= time.monotonic() < end
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts) / seconds
