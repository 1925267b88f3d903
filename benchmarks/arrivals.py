"""Jobs that arrive at half the rate at which sandboxes can be made: how many find none warm, and what clients see.

Arrivals keep to their own clock, whatever the service does: a job's time counts from the moment when it was due. They
come evenly spaced, and at random moments (a Poisson process, the same one each time), which is how a crowd comes.
"""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat

import uvloop

from benchmarks.connections import Connections, connect, request
from benchmarks.figures import Figure, percentile

PATTERNS = ("even", "random")
BAR_COLD_PERCENT = 0.1
BAR_P99_MS = 60.0
_CALLED = {"even": "evenly spaced", "random": "at random"}
JOB = {"language": "python", "code": "print(6 * 7)"}
_AT_ONCE = 4
_STOCK_SECONDS = 4.0
"""How long a full pool and what it started ahead can hide how fast sandboxes are made."""
_REST_SECONDS = 5.0
_SEED = 5


@dataclass(frozen=True)
class Served:
    """An API to send jobs to, and what runs them."""

    backend: str
    port: int
    key: str


@dataclass(frozen=True)
class _Arrived:
    milliseconds: float
    warm: bool


def arrivals(fleet: Served, seconds: float, patterns: tuple[str, ...], refill_seconds: float) -> Iterator[Figure]:
    """Measure the refill rate, then each pattern of arrivals for so many seconds."""
    rate = uvloop.run(_refill_rate(fleet, refill_seconds))
    how = f"{_AT_ONCE} clients in a closed loop for {refill_seconds:.0f} s, after the pool's stock was used up"
    name = f"sustained through the API, {_AT_ONCE} at a time, {fleet.backend} backend (its refill rate)"
    yield Figure(name, rate, "jobs/s", how, more_is_better=True)
    for pattern in patterns:
        time.sleep(_REST_SECONDS)
        found = uvloop.run(_arrive(fleet, _moments(pattern, rate / 2, seconds)))
        times = [each.milliseconds for each in found]
        name = f"arrivals at half the refill rate, {_CALLED[pattern]}, {fleet.backend} backend"
        how = f"{rate / 2:.2f} jobs a second for {seconds:.0f} s, POST /execute with Prefer: wait"
        cold = 100 * sum(not each.warm for each in found) / len(found)
        count = len(found)
        yield Figure(f"{name}: cold misses", cold, "%", how, bar=BAR_COLD_PERCENT, samples=count)
        yield Figure(f"{name}: through the API, p50", statistics.median(times), "ms", how, samples=count)
        worst = percentile(times, 0.99)
        yield Figure(f"{name}: through the API, p99", worst, "ms", how, bar=BAR_P99_MS, samples=count)


def _moments(pattern: str, rate: float, seconds: float) -> list[float]:
    """When jobs are due, in seconds from the beginning."""
    count = max(1, round(rate * seconds))
    if pattern == "even":
        return list(accumulate(repeat(1 / rate, count)))
    randomly = random.Random(_SEED)
    return list(accumulate(randomly.expovariate(rate) for _ in range(count)))


async def _arrive(fleet: Served, moments: list[float]) -> list[_Arrived]:
    connections = Connections(fleet.port)
    whole = request("POST", "/execute", fleet.key, JOB, wait=60)
    began = time.perf_counter()

    async def one(due: float) -> _Arrived:
        await asyncio.sleep(max(0, due - (time.perf_counter() - began)))
        async with connections.one() as connection:
            status, body = await connection.ask(whole)
        return _Arrived(1000 * (time.perf_counter() - began - due), _warm(status, body))

    try:
        return await asyncio.gather(*(one(due) for due in moments))
    finally:
        connections.close()


async def _refill_rate(fleet: Served, seconds: float) -> float:
    """Jobs in a second that are sent as fast as they end: each takes a sandbox, so as many are made."""
    whole = request("POST", "/execute", fleet.key, JOB, wait=60)
    counts_from = time.perf_counter() + _STOCK_SECONDS
    until = counts_from + seconds
    ended: list[float] = []

    async def go_on() -> None:
        connection = await connect(fleet.port)
        try:
            while time.perf_counter() < until:
                _warm(*await connection.ask(whole))
                ended.append(time.perf_counter())
        finally:
            connection.close()

    await asyncio.gather(*(go_on() for _ in range(_AT_ONCE)))
    return sum(counts_from <= at < until for at in ended) / seconds


def _warm(status: int, body: bytes) -> bool:
    result = json.loads(body)
    if status != 200 or result["status"] != "succeeded":
        raise SystemExit(f"a job gave {status} {result}")
    return bool(result["warm"])
