"""A database that answers late: leases of living workers are kept, time-outs are answered, and /ready says it."""

from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import httpx
import pytest
from calls import problem, result
from runtime_processes import Stack, start_stack, until
from slow_relay import SlowRelay

_TIMEOUT_SECONDS = 2
_LEASE_SECONDS = 6


@pytest.fixture
def relay(database_url: str) -> Iterator[SlowRelay]:
    """What stands between the database and everybody else."""
    with SlowRelay(database_url) as relay:
        yield relay


@pytest.fixture
def far_stack(relay: SlowRelay, request: pytest.FixtureRequest) -> Generator[Stack]:
    """An API and two workers on the other side of the relay; its parameter is their time-out."""
    timeout = getattr(request, "param", _TIMEOUT_SECONDS)
    times = {"LEASE_SECONDS": str(_LEASE_SECONDS), "LEASE_RENEW_SECONDS": "1", "SWEEP_SECONDS": "0.5"}
    with start_stack(relay.url, workers=2, DATABASE_TIMEOUT_SECONDS=str(timeout), **times) as started:
        yield started


def _send(client: httpx.Client, runs: Path, ends: Path, seconds: float) -> httpx.Response:
    code = (
        f"import time\nopen({str(runs)!r}, 'a').write('x\\n')\ntime.sleep({seconds})\n"
        f"open({str(ends)!r}, 'a').write('x\\n')"
    )
    return client.post("/execute", json={"language": "python", "code": code})


def _count(file: Path) -> int:
    return len(file.read_text().split()) if file.exists() else 0


def _once(client: httpx.Client, jobs: list[str], runs: Path) -> None:
    ended = [result(client, job, wait=60) for job in jobs]
    assert Counter((each["status"], each["attempt"]) for each in ended) == {("succeeded", 1): len(jobs)}
    assert _count(runs) == len(jobs)


# A statement that its connection has not seen yet takes two rounds.
@pytest.mark.parametrize("far_stack", [10], indirect=True)
def test_a_slow_database_costs_no_lease_and_no_second_run(far_stack: Stack, relay: SlowRelay, tmp_path: Path) -> None:
    """A worker that is slow to say that it lives must not lose its jobs to another."""
    runs, ends = tmp_path / "runs", tmp_path / "ends"
    relay.delay_seconds = 0.55
    with far_stack.client() as client:
        answers = [_send(client, runs, ends, 2 * _LEASE_SECONDS) for _ in range(4)]
        assert {answer.status_code for answer in answers} == {202}
        until(lambda: _count(runs) == 4, seconds=60, what="the jobs' start")
        ready = httpx.get(f"{far_stack.url}/ready", timeout=30)
        assert ready.status_code == 200, ready.text
        assert "the database is slow" in " ".join(ready.json()["reasons"])
        _once(client, [answer.json()["id"] for answer in answers], runs)


def test_a_database_that_answers_too_late_is_away_and_jobs_outlast_it(
    far_stack: Stack, relay: SlowRelay, tmp_path: Path
) -> None:
    """Clients must not hang, and what runs meanwhile must neither be lost nor run again when the database is back."""
    runs, ends = tmp_path / "runs", tmp_path / "ends"
    with far_stack.client() as client:
        jobs = [_send(client, runs, ends, seconds).json()["id"] for seconds in (1, 1, 2 * _LEASE_SECONDS)]
        until(lambda: _count(runs) == 3, what="the jobs' start")
        relay.delay_seconds = 2.0 * _TIMEOUT_SECONDS
        late = _send(client, tmp_path / "late", ends, 0)
        assert "the database cannot be reached" in problem(late, 503)["detail"].lower()
        unready = problem(httpx.get(f"{far_stack.url}/ready", timeout=30), 503)
        assert "the database cannot be reached" in unready["detail"]
        # By then the leases of the other two are over, as nobody could renew them.
        until(lambda: _count(ends) >= 3, seconds=60, what="the last job's end")
        relay.delay_seconds = 0.0
        until(lambda: httpx.get(f"{far_stack.url}/ready", timeout=30).status_code == 200, seconds=60, what="readiness")
        _once(client, jobs, runs)
