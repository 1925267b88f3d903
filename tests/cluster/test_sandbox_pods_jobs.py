"""Jobs from the API through real workers to pods: none is lost, whoever dies on the way."""

import json
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from calls import result, run, submit
from postgres_server import start_server
from runtime_processes import Process, Stack, start_stack, until
from sandbox_pods import PodPool
from sandbox_pods_fixtures import own_pool, pod_cluster, pod_image

__all__ = ["own_pool", "pod_cluster", "pod_image"]

StartWorker = Callable[..., Process]
SHORT_LEASE: Any = {"LEASE_SECONDS": "6", "LEASE_RENEW_SECONDS": "1", "SWEEP_SECONDS": "0.5"}


@pytest.fixture
def stack(tmp_path: Path) -> Generator[Stack]:
    """An API on a database of its own; the test starts the workers."""
    server = start_server(tmp_path)
    try:
        with start_stack(server.url, **SHORT_LEASE) as started:
            yield started
    finally:
        server.remove()


@pytest.fixture
def worker_on_pods(stack: Stack, own_pool: PodPool, tmp_path: Path) -> StartWorker:
    """Starts workers on the test's pool, which is created with the first."""

    def start(name: str, **settings: str) -> Process:
        if not stack.workers:
            own_pool.create()
        folder = tmp_path / f"{name}-{len(stack.workers)}"
        environment = {
            **own_pool.environment(folder / "credentials", warm=1, maximum=3),
            "FLEET_SANDBOXD_SOCKET": str(folder / "sandboxd.sock"),
            "FLEET_CONCURRENCY": "2",
            "FLEET_WORKER_ID": name,
        }
        return stack.start_pod_worker({**environment, **settings})

    return start


def pods_of(pool: PodPool, worker: str) -> set[str]:
    """The pods that a worker holds."""
    return {name for name, owner in pool.claimed().items() if owner.startswith(worker)}


@pytest.mark.parametrize("jobs", [30, pytest.param(200, marks=pytest.mark.soak)])
def test_no_job_is_lost_with_a_worker_killed_and_a_pod_deleted_on_the_way(
    jobs: int, stack: Stack, worker_on_pods: StartWorker, own_pool: PodPool, record_property: Callable[..., None]
) -> None:
    """Accepted means that there will be a result."""
    own_pool.replicas = 6
    victim = worker_on_pods("worker-a")
    worker_on_pods("worker-b")
    began = time.monotonic()
    with stack.client() as client:
        identifiers = [
            submit(client, code=f"print({number} * 2)", max_attempts=5, timeout_seconds=30) for number in range(jobs)
        ]
        until(lambda: result(client, identifiers[jobs // 4])["status"] == "succeeded", seconds=90, what="a quarter")
        victim.kill()
        held: set[str] = set()
        until(lambda: held.update(pods_of(own_pool, "worker-b")) or bool(held), seconds=60, what="a pod of the other")
        delete = ("delete", "pod", "-n", own_pool.namespace, min(held))
        own_pool.cluster(*delete, "--grace-period=0", "--force", "--ignore-not-found")
        worker_on_pods("worker-c")
        ended = [result(client, identifier, wait=60) for identifier in identifiers]
    assert [one["status"] for one in ended] == ["succeeded"] * jobs
    assert [one["stdout"] for one in ended] == [f"{number * 2}\n" for number in range(jobs)]
    record_property("jobs_per_second", round(jobs / (time.monotonic() - began), 2))
    until(lambda: not pods_of(own_pool, "worker-a"), seconds=60, what="the killed worker's pods to be gone")


def test_a_drained_worker_ends_its_job_and_leaves_no_pod_claimed(
    stack: Stack, worker_on_pods: StartWorker, own_pool: PodPool
) -> None:
    """An autoscaler that takes a worker away must cost neither a job nor pods."""
    worker = worker_on_pods("worker-a", FLEET_DRAIN_SECONDS="60")
    with stack.client() as client:
        identifier = submit(client, language="bash", code="sleep 4; echo ended")
        until(lambda: result(client, identifier)["status"] == "running", what="the job to run")
        worker.terminate()
        ended = result(client, identifier, wait=30)
        assert (ended["status"], ended["stdout"], ended["attempt"]) == ("succeeded", "ended\n", 1)
    assert worker.popen.wait(timeout=30) == 0
    assert not own_pool.claimed()


def test_a_job_that_outlasts_the_drain_is_run_again_elsewhere(
    stack: Stack, worker_on_pods: StartWorker, own_pool: PodPool
) -> None:
    """What does not end in time goes back to the queue, and its pod goes."""
    worker = worker_on_pods("worker-a", FLEET_DRAIN_SECONDS="1")
    with stack.client() as client:
        identifier = submit(client, language="bash", code="sleep 5; echo ended")
        until(lambda: result(client, identifier)["status"] == "running", what="the job to run")
        worker.terminate()
        assert worker.popen.wait(timeout=30) == 0
        assert not own_pool.claimed()
        worker_on_pods("worker-b")
        ended = result(client, identifier, wait=60)
        assert (ended["status"], ended["stdout"], ended["attempt"]) == ("succeeded", "ended\n", 2)


def test_a_network_that_nothing_closes_keeps_jobs_from_running_and_says_why(
    stack: Stack, worker_on_pods: StartWorker
) -> None:
    """Many network plugins accept a NetworkPolicy and enforce nothing; this pool has not even one."""
    worker = worker_on_pods("worker-a", FLEET_NETWORK_CANARY="enforce", FLEET_METRICS_LISTEN="127.0.0.1:0")
    with stack.client() as client:
        identifier = submit(client, code="print(1)")

        def refused() -> bool:
            return "a sandbox reached" in httpx.get(f"{stack.url}/ready").text

        until(refused, seconds=60, what="the canary's refusal")
        reasons = httpx.get(f"{stack.url}/ready").json()["reasons"]
        assert "the Kubernetes API server at" in reasons[0]
        assert "FLEET_NETWORK_CANARY=report" in reasons[0]
        with psycopg.connect(stack.database_url) as connection:
            assert connection.execute("SELECT reason LIKE 'a sandbox reached%' FROM workers").fetchone() == (True,)
        assert result(client, identifier)["status"] == "queued"
        worker.kill()
        # The operator has decided to live with it.
        worker_on_pods("worker-b")
        assert result(client, identifier, wait=60)["status"] == "succeeded"
        reached = stack.workers[-1].line("network_canary_reached")
        assert not reached["enforced"]
        assert run(client, code="print(2)")["stdout"] == "2\n"


def test_a_worker_says_which_setting_is_missing(stack: Stack) -> None:
    """A worker that cannot find its pods must say what it was not told."""
    worker = stack.start_pod_worker({"FLEET_SANDBOX_BACKEND": "kubernetes", "KUBERNETES_SERVICE_HOST": ""})
    assert worker.popen.wait(timeout=30) == 1
    refused = {line["setting"] for line in worker.lines() if line["event"] == "setting_refused"}
    assert {"FLEET_SANDBOX_NAMESPACE", "FLEET_SANDBOX_SELECTOR", "KUBERNETES_SERVICE_HOST"} <= refused, json.dumps(
        worker.lines()
    )
