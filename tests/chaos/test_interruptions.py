"""Hosts are taken away at random while their workers are busy: no job is lost, none ends twice, none pays for it."""

import os
import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from emulated_ec2 import EmulatedEc2, emulated_ec2
from interrupted_hosts import JOBS_AT_ONCE, Hosts
from postgres_server import NoServerError, start_server
from runtime_processes import Stack, start_stack, until

_TENANT = "tenant-0"
_STALLED_SECONDS = 120.0
_LONG_SECONDS = 20.0
"""Of the jobs that the hosts begin with: more than any way to go leaves them, so that the first hands its own back."""
_RUN_AGAIN_LIMIT_SECONDS = 120.0
"""Far above what it takes: a busy machine is no fault. What it took is recorded."""

# Every move of a job is noted beside it, by the server's clock, so that no second end could hide behind the first.
_AUDIT = """
CREATE TABLE moves (job_id uuid NOT NULL, was text NOT NULL, became text NOT NULL, at timestamptz NOT NULL);
CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> NEW.status OR OLD.ended_at IS NOT NULL AND OLD.stdout IS DISTINCT FROM NEW.stdout THEN
        INSERT INTO moves VALUES (NEW.id, OLD.status, NEW.status, clock_timestamp());
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER note_move AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION note_move();
"""
_RUN_AGAIN = """
SELECT extract(epoch FROM (
    SELECT min(again.at) FROM moves AS again
    WHERE again.job_id = back.job_id AND again.became = 'running' AND again.at >= back.at
) - back.at)::float8
FROM moves AS back WHERE back.was = 'running' AND back.became = 'queued'
"""


@pytest.mark.timeout(600)
def test_two_hundred_jobs_end_once_each_while_hosts_are_taken_away(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A spot host's end that costs a job, or an attempt, is why others run nothing on spot."""
    _interrupt(tmp_path, record_property, jobs=200, hosts=6, departures=8, lengths=(0.1, 0.1, 0.3, 0.5, 1, 2, 5))


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_two_thousand_jobs_on_twenty_hosts_end_once_each_while_hosts_are_taken_away(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """What goes wrong once in a hundred departures shows only where there are that many."""
    # Long enough to last until the last host has gone, and so that forty at once are no strain on a small machine.
    lengths = (0.5, 1, 2, 5, 10, 20)
    _interrupt(tmp_path, record_property, jobs=2_000, hosts=20, departures=100, lengths=lengths)


def _interrupt(
    folder: Path,
    record: Callable[[str, object], None],
    *,
    jobs: int,
    hosts: int,
    departures: int,
    lengths: Sequence[float],
) -> None:
    seed = os.environ.get("FLEET_TEST_SEED") or str(random.randrange(1 << 32))
    record("seed", seed)
    with emulated_ec2() as ec2, _served(folder) as stack, stack.client(_TENANT) as client:
        fleet = Hosts(stack, ec2, folder, random.Random(seed))
        for _ in range(hosts):
            fleet.launch()
        for host in fleet.serving:
            host.worker.line("worker_started", seconds=_STALLED_SECONDS)
        begun = time.monotonic()
        _submit(client, jobs, seed, lengths, long=JOBS_AT_ONCE * hosts)
        _take_away(fleet, stack, jobs, departures)
        fleet.settle()
        record("seconds", round(time.monotonic() - begun, 1))
        record("departures", dict(sorted(fleet.ways.items())))
        _judge(fleet, stack, ec2, record, jobs=jobs, message=f"seed {seed}, {dict(fleet.ways)}")


@contextmanager
def _served(folder: Path) -> Generator[Stack]:
    try:
        server = start_server(folder / "postgres")
    except NoServerError as error:
        pytest.skip(f"needs PostgreSQL: {error}")
    try:
        with start_stack(server.url) as stack:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(_AUDIT)
            yield stack
    finally:
        server.remove()


def _submit(client: httpx.Client, jobs: int, seed: str, lengths: Sequence[float], *, long: int) -> None:
    """Have all jobs accepted: more than all hosts can run at once, so that none is ever idle."""

    def submit(number: int) -> None:
        seconds = _LONG_SECONDS if number < long else random.Random(f"{seed}-{number}").choice(lengths)
        body = {
            "language": "bash",
            "code": f"echo {number}; sleep {seconds}",
            "max_attempts": 1,
            "idempotency_key": f"job-{number}",
        }
        until(lambda: _accepted(client, body), seconds=_STALLED_SECONDS, what=f"job {number} accepted")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(submit, range(jobs)))


def _accepted(client: httpx.Client, body: dict[str, Any]) -> bool:
    try:
        answer = client.post("/execute", json=body)
    except httpx.TransportError:
        return False
    # 503 says to send it again: a machine on which twenty hosts start may be that slow.
    assert answer.status_code in (200, 202, 503), answer.text
    return answer.status_code != 503


def _take_away(fleet: Hosts, stack: Stack, jobs: int, departures: int) -> None:
    """Take hosts away as jobs end, evenly among them; return when all jobs have ended."""
    moved_at, last, done = time.monotonic(), (-1, -1), 0
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        while True:
            ended = int(_one(connection, "SELECT count(*) FROM jobs WHERE ended_at IS NOT NULL")[0])
            if (ended, done) != last:
                moved_at, last = time.monotonic(), (ended, done)
            if ended == jobs and done == departures:
                return
            assert time.monotonic() - moved_at < _STALLED_SECONDS, f"{ended} of {jobs} jobs ended, and nothing moves"
            # The last tenth of the jobs is left to see whether all that was handed back runs again.
            if done < departures and ended >= done * jobs * 0.9 / departures and fleet.ready():
                fleet.take_away()
                done += 1
            threading.Event().wait(0.1)


def _judge(
    fleet: Hosts, stack: Stack, ec2: EmulatedEc2, record: Callable[[str, object], None], *, jobs: int, message: str
) -> None:
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        kept = _one(
            connection,
            "SELECT count(*), count(*) FILTER (WHERE status = 'succeeded'), sum(failures), max(attempt) FROM jobs",
        )
        ends = _one(
            connection,
            "SELECT count(*), count(DISTINCT job_id) FROM moves WHERE became NOT IN ('running', 'queued')",
        )
        outputs = {bytes(row[0]).decode() for row in connection.execute("SELECT stdout FROM jobs")}
        again = sorted(float(row[0]) for row in connection.execute(_RUN_AGAIN))
    record("handed_back", len(again))
    record("most_attempts", kept[3])
    if again:
        record("run_again_after_seconds", {"median": round(again[len(again) // 2], 3), "most": round(again[-1], 3)})
    assert kept[:3] == (jobs, jobs, 0), message
    assert ends == (jobs, jobs), message
    assert outputs == {f"{number}\n" for number in range(jobs)}, message
    assert fleet.problems == ec2.problems == [], message
    assert fleet.left_jobs_behind() == [], message
    assert again, f"nothing was handed back: {message}"
    assert again[-1] < _RUN_AGAIN_LIMIT_SECONDS, message


def _one(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row
