"""How long a job takes through the API, and how many go through, beside Docker's own commands."""

import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from benchmarks.figures import Figure, percentile
from benchmarks.fleet import Client, Fleet
from benchmarks.sandbox import HARDENED

PROGRAM = "print(6 * 7)"
BARS_MS = (15.0, 50.0)
"""p50 and p99 of a warm job, also of the first after a minute in which nothing was asked."""
_PAUSE_SECONDS = 0.3
"""Between two jobs: the pool has then replaced the sandbox that the last one used."""

Fleets = Mapping[str, Callable[[], Client]]
"""By backend: a function that opens a connection to the API of a fleet."""


def latency(fleets: Fleets, image: str, jobs: int) -> Iterator[Figure]:
    """A job at rest, measured in turns with Docker's commands, because a machine's load changes."""
    clients = {backend: connect() for backend, connect in fleets.items()}
    python = ["--entrypoint=python3", image, "-c", PROGRAM]
    start = ["docker", "run", "-d", "--rm", *HARDENED, "--entrypoint=sleep", image, "3600"]
    server = subprocess.check_output(start, text=True).strip()
    ours: dict[str, list[float]] = {backend: [] for backend in clients}
    warm = dict.fromkeys(clients, 0)
    runs: list[float] = []
    execs: list[float] = []
    try:
        for number in range(jobs + 10):
            for backend, client in clients.items():
                time.sleep(_PAUSE_SECONDS)
                took, found_warm = _job(client)
                # The first few fill caches and open connections.
                if number >= 10:
                    ours[backend].append(took)
                    warm[backend] += found_warm
            if number % 5 == 4:
                runs.append(_timed(["docker", "run", "--rm", *HARDENED, *python]))
                execs.append(_timed(["docker", "exec", server, "python3", "-c", PROGRAM]))
    finally:
        subprocess.run(["docker", "rm", "-f", server], check=False, stdout=subprocess.DEVNULL)
    how = f"POST /execute with Prefer: wait, one after another, {1000 * _PAUSE_SECONDS:.0f} ms apart"
    for backend, times in ours.items():
        for name, share, bar in zip(("p50", "p99"), (0.5, 0.99), BARS_MS, strict=True):
            mine = percentile(times, share)
            for other, theirs in (("hardened docker run --rm", runs), ("docker exec", execs)):
                held = percentile(theirs, share)
                figure = f"{_named(backend)}, {name}, against {other}"
                against = f"{other}, same image, {name}"
                yield Figure(figure, mine, "ms", how, against, held, bar, samples=len(times))
        figure = f"{_named(backend)}: found a warm sandbox"
        yield Figure(figure, 100 * warm[backend] / len(times), "%", how, more_is_better=True, samples=len(times))


def after_quiet(fleets: Fleets, rounds: int, quiet_seconds: float) -> Iterator[Figure]:
    """The first job after a time without any; each backend goes first in turn, as the second meets warmer caches."""
    ours: dict[str, list[float]] = {backend: [] for backend in fleets}
    next_ones: dict[str, list[float]] = {backend: [] for backend in fleets}

    def one(backend: str) -> float:
        # Its own connection: the API ends one that nobody has used for half a minute.
        began = time.perf_counter()
        client = fleets[backend]()
        _job(client)
        return (time.perf_counter() - began) * 1000

    for backend in fleets:
        one(backend)
    for number in range(rounds):
        time.sleep(quiet_seconds)
        for backend in list(fleets)[:: -1 if number % 2 else 1]:
            ours[backend].append(one(backend))
        for backend in fleets:
            # As long after the last one as in `latency`, so that only the time of quiet differs.
            time.sleep(_PAUSE_SECONDS)
            next_ones[backend].append(one(backend))
    how = f"POST /execute with Prefer: wait on a new connection, once after each {quiet_seconds:.0f} s of quiet"
    for backend, times in ours.items():
        name = f"{_named(backend)}, first after {quiet_seconds:.0f} s of quiet"
        held = f"one {1000 * _PAUSE_SECONDS:.0f} ms later, median", statistics.median(next_ones[backend])
        yield Figure(f"{name}, median", statistics.median(times), "ms", how, *held, bar=BARS_MS[0], samples=len(times))
        yield Figure(f"{name}, worst of {rounds}", max(times), "ms", how, bar=BARS_MS[1], samples=len(times))


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


def _named(backend: str) -> str:
    """As figures have been called from the start: the deployed fleet's without its backend."""
    return "python job through the API" if backend == "docker" else f"python job through the API, {backend} backend"


def _job(client: Client) -> tuple[float, bool]:
    """Run one; its milliseconds, and whether its sandbox was warm."""
    began = time.perf_counter()
    result = client.run(PROGRAM)
    return (time.perf_counter() - began) * 1000, bool(result["warm"])


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
