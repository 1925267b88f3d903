"""Workers as processes: killed, drained, cut off from the database, and without sandboxes."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from calls import problem, result, run, submit
from fleet_runtime.config import WorkerSettings
from gated_code import until_there
from postgres_server import start_server
from pydantic import ValidationError
from runtime_processes import Stack, start_stack, until

SHORT_LEASE: Any = {"LEASE_SECONDS": "6", "LEASE_RENEW_SECONDS": "0.5", "SWEEP_SECONDS": "0.5"}


@pytest.fixture
def own_stack(database_url: str) -> Generator[Stack]:
    """An API without workers; the test starts them as it needs."""
    with start_stack(database_url, **SHORT_LEASE) as started:
        yield started


def _running(client: httpx.Client, identifier: str) -> None:
    until(lambda: result(client, identifier)["status"] == "running", what="the job's start")


def test_a_job_whose_worker_is_killed_ends_exactly_once(own_stack: Stack, tmp_path: Path) -> None:
    """kill -9 of a worker: the job neither vanishes nor ends twice, and another worker runs it to its end."""
    log = tmp_path / "runs"
    victim = own_stack.start_worker()
    with own_stack.client() as client:
        code = f"import time; open({str(log)!r}, 'a').write('x'); time.sleep(1.5); print('done')"
        identifier = submit(client, code=code)
        until(log.exists, what="the code's start")
        victim.kill()
        own_stack.start_worker()
        ended = result(client, identifier, wait=40)
        assert (ended["status"], ended["attempt"], ended["stdout"]) == ("succeeded", 2, "done\n")
        assert log.read_text() == "xx"
        assert result(client, identifier) == ended


def test_a_job_that_kills_every_worker_is_lost_after_its_attempts(own_stack: Stack) -> None:
    """A poisonous job must not go round for ever."""
    with own_stack.client() as client:
        identifier = submit(client, language="bash", code="sleep 30", max_attempts=2)
        for attempt in (1, 2):
            worker = own_stack.start_worker()
            until(lambda number=attempt: result(client, identifier)["attempt"] == number, what="the attempt")
            worker.kill()
        ended = result(client, identifier, wait=30)
        assert (ended["status"], ended["attempt"], ended["exit_code"]) == ("lost", 2, None)
        assert ended["error"]["code"] == "worker_lost"


def test_a_draining_worker_finishes_what_it_has_and_takes_nothing_new(own_stack: Stack, tmp_path: Path) -> None:
    """A deployment or an autoscaler that stops a worker must not cost a job."""
    worker, gate = own_stack.start_worker(CONCURRENCY="1"), tmp_path / "gate"
    with own_stack.client() as client:
        running = submit(client, code=f"import os, time\n{until_there(gate)}print('done')")
        waiting = submit(client)
        _running(client, running)
        worker.terminate()
        worker.line("draining")
        gate.touch()
        ended = result(client, running, wait=20)
        assert (ended["status"], ended["attempt"], ended["stdout"]) == ("succeeded", 1, "done\n")
        assert worker.popen.wait(timeout=30) == 0
        assert result(client, waiting)["status"] == "queued"


def test_what_a_draining_worker_cannot_finish_is_handed_back_at_no_cost(own_stack: Stack, tmp_path: Path) -> None:
    """A job that is longer than the time to drain must run elsewhere, with all its attempts left."""
    worker, gate = own_stack.start_worker(DRAIN_SECONDS="0.5"), tmp_path / "gate"
    with own_stack.client() as client:
        identifier = submit(client, code=f"import os, time\n{until_there(gate)}print('done')", max_attempts=1)
        _running(client, identifier)
        worker.terminate()
        assert worker.popen.wait(timeout=30) == 0
        assert result(client, identifier)["status"] == "queued"
        gate.touch()
        own_stack.start_worker()
        ended = result(client, identifier, wait=20)
        assert (ended["status"], ended["attempt"]) == ("succeeded", 2)


def test_a_job_longer_than_its_lease_is_not_taken_away(own_stack: Stack) -> None:
    """Renewals must keep a long job with its worker."""
    own_stack.start_worker()
    own_stack.start_worker()
    with own_stack.client() as client:
        ended = run(client, language="bash", code="sleep 8")
        assert (ended["status"], ended["attempt"]) == ("succeeded", 1)


def test_without_any_worker_the_fleet_is_not_ready_but_accepts(own_stack: Stack) -> None:
    """Queue rather than reject; but say that nothing runs, and why."""
    document = problem(httpx.get(f"{own_stack.url}/ready"), 503)
    assert httpx.get(f"{own_stack.url}/accepting").status_code == 200
    assert "no worker" in document["reasons"][0]
    with own_stack.client() as client:
        identifier = submit(client)
        own_stack.start_worker()
        assert result(client, identifier, wait=20)["status"] == "succeeded"


def test_a_full_sandboxd_costs_no_attempt(own_stack: Stack) -> None:
    """A worker with more slots than there are sandboxes must wait, not fail jobs."""
    own_stack.start_worker(CONCURRENCY="8", TEST_MAXIMUM="2", TEST_CLAIMED_MAXIMUM="8")
    with own_stack.client() as client:
        jobs = [submit(client, language="bash", code="sleep 0.3", max_attempts=1) for _ in range(6)]
        assert {result(client, one, wait=30)["status"] for one in jobs} == {"succeeded"}


def test_everything_goes_on_after_the_database_has_restarted(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No accepted job and no result may be lost with a connection, and nobody must be restarted by hand."""
    server = start_server(tmp_path_factory.mktemp("postgres"))
    try:
        with start_stack(server.url, workers=1, **SHORT_LEASE) as stack, stack.client() as client:
            before = submit(client, language="bash", code="sleep 3; echo done")
            _running(client, before)
            server.stop()
            problem(client.post("/execute", json={"language": "python", "code": ""}), 503)
            away = client.get(f"/result/{before}")
            problem(away, 503)
            assert int(away.headers["retry-after"]) > 0
            problem(httpx.get(f"{stack.url}/ready"), 503)
            assert httpx.get(f"{stack.url}/health").status_code == 200
            server.start()
            until(lambda: httpx.get(f"{stack.url}/ready").status_code == 200, what="recovery")
            ended = result(client, before, wait=30)
            assert (ended["status"], ended["attempt"], ended["stdout"]) == ("succeeded", 1, "done\n")
            assert run(client, code="print(1)")["stdout"] == "1\n"
    finally:
        server.remove()


def test_a_worker_refuses_a_lease_that_one_failed_renewal_would_lose() -> None:
    """A setting that loses jobs under the first hiccup must be refused at the start."""
    url = "postgresql://x"
    with pytest.raises(ValidationError, match="FLEET_LEASE_RENEW_SECONDS"):
        WorkerSettings(database_url=url, lease_seconds=10, lease_renew_seconds=6)  # pyright: ignore[reportArgumentType]
