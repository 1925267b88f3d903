"""How many jobs a second API, queue and worker carry where the sandbox takes no time, and what each part takes.

Every job is committed three times, each flushed to disk: accepted, claimed, ended. The parts say what the whole can be
at most: each alone, and the processor time of each for one job.
"""

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import uvloop

from benchmarks.connections import connect, request
from benchmarks.figures import Figure
from benchmarks.processes import Processes, api_and_database, start_empty_workers

BAR_JOBS_A_SECOND = 300
WORKERS = 2
WORKER_CONCURRENCY = 32
CLIENTS = 64
COMMITTERS = 8
_JOB = {"language": "python", "code": ""}
_DRAIN_SECONDS = 120.0

# The middle of what was done, so that neither the first look at the queue nor the last stragglers count.
_DRAINED = """
SELECT count(*), (0.8 * count(*) / extract(epoch FROM
    percentile_disc(0.9) WITHIN GROUP (ORDER BY ended_at) - percentile_disc(0.1) WITHIN GROUP (ORDER BY ended_at)
))::float8 FROM jobs WHERE status = 'succeeded'
"""
_COMMIT = "INSERT INTO commits DEFAULT VALUES;\n"

Ask = Callable[[int], bytes]
"""Makes the request of a number."""


@dataclass(frozen=True)
class Rate:
    """What went through in a while, and the processor seconds that each role took for it."""

    done: int
    seconds: float
    processor: dict[str, float]

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return self.done / self.seconds

    def milliseconds_each(self, role: str) -> float:
        """Processor time of a role for one."""
        return 1000 * self.processor[role] / self.done


def queue_capacity(seconds: float) -> Iterator[Figure]:
    """Measure the whole for so many seconds with one and with two API processes, and each part for a quarter of it."""
    part = max(1.0, seconds / 4)
    for apis in (1, 2):
        with api_and_database(apis=apis, settings={"QUEUE_LIMIT": "1000000"}) as fleet:
            yield from _whole_and_parts(fleet, seconds, part) if apis == 1 else _whole_alone(fleet, seconds)


def _whole_alone(fleet: Processes, seconds: float) -> Iterator[Figure]:
    start_empty_workers(fleet, WORKERS, WORKER_CONCURRENCY)
    yield from _whole(fleet, seconds)


def _whole_and_parts(fleet: Processes, seconds: float, part: float) -> Iterator[Figure]:
    yield _commits(fleet, part)
    nothing = request("GET", "/health", fleet.key)
    rate = uvloop.run(_closed_loop(fleet, lambda _: nothing, 200, part))
    yield _alone("answers of the API that need no work (GET /health)", rate, "requests/s")
    rate = uvloop.run(_closed_loop(fleet, lambda _: request("POST", "/execute", fleet.key, _JOB), 202, part))
    yield _alone("accepting alone, no worker there", rate, "jobs/s")
    start_empty_workers(fleet, WORKERS, WORKER_CONCURRENCY)
    drained, per_second = _drained(fleet)
    how = f"{drained} queued jobs, {WORKERS} worker processes of {WORKER_CONCURRENCY} places each; no request meanwhile"
    yield Figure("empty jobs: claiming and ending alone", per_second, "jobs/s", how, more_is_better=True)
    known = _ended(fleet)
    rate = uvloop.run(
        _closed_loop(
            fleet, lambda number: request("GET", f"/result/{known[number % len(known)]}", fleet.key, wait=30), 200, part
        )
    )
    yield _alone("waiting for the result of a job that has ended", rate, "requests/s")
    yield from _whole(fleet, seconds)


def _whole(fleet: Processes, seconds: float) -> Iterator[Figure]:
    whole = request("POST", "/execute", fleet.key, _JOB, wait=30)
    rate = uvloop.run(_closed_loop(fleet, lambda _: whole, 200, seconds))
    apis = len(fleet.ports)
    name = f"API, queue and worker with an empty sandbox, {apis} API process{'es' if apis > 1 else ''}"
    how = (
        f"{CLIENTS} clients in a closed loop, POST /execute with Prefer: wait, {seconds:.0f} s; {WORKERS} worker "
        f"processes; PostgreSQL beside them, every commit flushed"
    )
    yield Figure(name, rate.per_second, "jobs/s", how, bar=BAR_JOBS_A_SECOND, more_is_better=True, samples=rate.done)
    total = sum(rate.processor.values())
    processors = os.cpu_count() or 1
    how = f"of the same run; {_shares(rate)}"
    yield Figure(f"{name}: processor time of all for a job", 1000 * total / rate.done, "ms", how)
    yield Figure(f"{name}: share of all processors in use", 100 * total / rate.seconds / processors, "%", how)


def _shares(rate: Rate) -> str:
    each = ", ".join(f"{role} {rate.milliseconds_each(role):.2f}" for role in rate.processor)
    return f"processor milliseconds each: {each}"


def _alone(what: str, rate: Rate, unit: str) -> Figure:
    how = f"{CLIENTS} clients in a closed loop, {rate.seconds:.0f} s; {_shares(rate)}"
    return Figure(f"empty jobs: {what}", rate.per_second, unit, how, more_is_better=True, samples=rate.done)


async def _closed_loop(fleet: Processes, ask: Ask, wanted: int, seconds: float) -> Rate:
    """Have each client send its next request when the last is answered; the first second does not count."""
    connections = [await connect(fleet.ports[number % len(fleet.ports)]) for number in range(CLIENTS)]
    warm_until = time.monotonic() + min(1.0, seconds / 2)
    until = warm_until + seconds
    done = 0
    number = 0

    async def go_on(send: Callable[[bytes], Awaitable[tuple[int, bytes]]]) -> None:
        nonlocal done, number
        while time.monotonic() < until:
            number += 1
            status, body = await send(ask(number))
            if status != wanted:
                raise SystemExit(
                    f"a request was answered {status}, not {wanted}: {body[:300].decode(errors='replace')}"
                )
            done += warm_until <= time.monotonic() < until

    async def processor() -> dict[str, float]:
        await asyncio.sleep(max(0, warm_until - time.monotonic()))
        before = await asyncio.to_thread(_processor_seconds, fleet)
        await asyncio.sleep(max(0, until - time.monotonic()))
        after = await asyncio.to_thread(_processor_seconds, fleet)
        return {role: after[role] - used for role, used in before.items()}

    try:
        measuring = asyncio.create_task(processor())
        await asyncio.gather(measuring, *(go_on(each.ask) for each in connections))
        return Rate(done, seconds, measuring.result())
    finally:
        for each in connections:
            each.close()


def _processor_seconds(fleet: Processes) -> dict[str, float]:
    """Of each role so far, this program's own included."""
    used = {role: sum(_of_process(each.popen.pid) for each in processes) for role, processes in fleet.roles().items()}
    stats = cast(dict[str, Any], fleet.container().stats(stream=False, one_shot=True))
    return {
        **used,
        "PostgreSQL": stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        "the clients": time.process_time(),
    }


def _of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _drained(fleet: Processes) -> tuple[int, float]:
    """Wait until nothing is queued; returns how many have ended, and how many a second."""
    until = time.monotonic() + _DRAIN_SECONDS
    with psycopg.connect(fleet.database.url, autocommit=True) as connection:
        open_jobs = "SELECT count(*) FROM (SELECT FROM jobs WHERE ended_at IS NULL LIMIT 1) AS open_jobs"
        while _one(connection, open_jobs)[0]:
            if time.monotonic() > until:
                raise SystemExit(f"the queue was not drained within {_DRAIN_SECONDS:.0f} s")
            time.sleep(0.2)
        count, rate = _one(connection, _DRAINED)
        return int(count), float(rate)


def _ended(fleet: Processes) -> list[str]:
    with psycopg.connect(fleet.database.url) as connection:
        return [str(row[0]) for row in connection.execute("SELECT id FROM jobs WHERE ended_at IS NOT NULL LIMIT 500")]


def _one(connection: psycopg.Connection, statement: str) -> tuple[float, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row


def _commits(fleet: Processes, seconds: float) -> Figure:
    """What the disk allows: rows of one table, each committed alone, by PostgreSQL's own program."""
    name = fleet.database.name
    database = ["--host=/run/postgresql", "--username=postgres", "fleet"]

    def run(program: list[str], given: str = "") -> str:
        command = ["docker", "exec", "--interactive", name, *program]
        ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60 + seconds, check=False)
        if ended.returncode:
            raise SystemExit(f"{program[0]} failed: {ended.stderr.strip()[-300:]}")
        return ended.stdout

    run(["psql", "--quiet", "--command=CREATE TABLE commits (id bigserial)", *database])
    options = ["-n", f"-c{COMMITTERS}", "-j1", f"-T{max(1, round(seconds))}", "-Mprepared", "-f/dev/stdin"]
    said = run(["pgbench", *options, *database], _COMMIT)
    run(["psql", "--quiet", "--command=DROP TABLE commits", *database])
    found = [float(line.split()[2]) for line in said.splitlines() if line.startswith("tps = ")]
    how = f"pgbench, {COMMITTERS} connections, a row each, in the container of PostgreSQL"
    return Figure(
        "empty jobs: commits flushed to disk, PostgreSQL alone",
        statistics.mean(found),
        "commits/s",
        how,
        more_is_better=True,
    )
