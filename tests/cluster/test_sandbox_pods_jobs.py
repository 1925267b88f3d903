"""Jobs from the API through real workers to sandboxes in a cluster: none is lost, whoever dies on the way.

One suite for both of them: pods that workers claim themselves, and sandboxes that agent-sandbox keeps for them.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from agent_sandbox_pool import AgentSandboxPool
from calls import result, run, submit
from postgres_server import start_server
from runtime_processes import Process, Stack, start_stack, until
from sandbox_pods import Cluster, PodPool

StartWorker = Callable[..., Process]
SHORT_LEASE: Any = {"LEASE_SECONDS": "6", "LEASE_RENEW_SECONDS": "1", "SWEEP_SECONDS": "0.5"}
# What agent-sandbox has no part in.
on_pods = pytest.mark.parametrize("pool", ["pods"], indirect=True)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """An API on a database of its own; each test starts its workers."""
    server = start_server(tmp_path_factory.mktemp("database"))
    try:
        with start_stack(server.url, **SHORT_LEASE) as started:
            yield started
    finally:
        server.remove()


@pytest.fixture(scope="module", params=["pods", "claims"])
def pool(request: pytest.FixtureRequest, pod_cluster: Cluster, pod_image: str) -> Iterator[PodPool]:
    """Sandboxes of a Deployment, or of agent-sandbox."""
    if request.param == "claims":
        request.getfixturevalue("agent_sandbox_kinds")
        made = AgentSandboxPool(pod_cluster, pod_image, grace_seconds=3)
    else:
        made = PodPool(pod_cluster, pod_image, replicas=6)
    made.create()
    yield made
    made.delete()


@pytest.fixture
def start_worker(stack: Stack, pool: PodPool, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers on the pool, of which nothing is in use before; they have ended after the test."""
    pool.at_rest()
    started: list[Process] = []

    def start(name: str, **settings: str) -> Process:
        folder = tmp_path / f"{name}-{len(started)}"
        environment = {
            **pool.environment(folder / "credentials", warm=1, maximum=3),
            "FLEET_SANDBOXD_SOCKET": str(folder / "sandboxd.sock"),
            "FLEET_CONCURRENCY": "2",
            "FLEET_WORKER_ID": name,
        }
        started.append(stack.start_pod_worker({**environment, **settings}))
        return started[-1]

    yield start
    for worker in started:
        worker.end()
    for name in pool.claimed():
        pool.give_up(name)


def held_by(pool: PodPool, worker: str) -> set[str]:
    """The pods or claims that a worker holds."""
    return {name for name, owner in pool.claimed().items() if owner.startswith(worker)}


@pytest.mark.parametrize("jobs", [24, pytest.param(200, marks=pytest.mark.soak)])
def test_no_job_is_lost_with_a_worker_killed_and_a_sandbox_deleted_on_the_way(
    jobs: int, stack: Stack, start_worker: StartWorker, pool: PodPool, record_property: Callable[..., None]
) -> None:
    """Accepted means that there will be a result."""
    victim = start_worker("worker-a")
    start_worker("worker-b")
    began = time.monotonic()
    with stack.client() as client:
        identifiers = [
            submit(client, code=f"print({number} * 2)", max_attempts=5, timeout_seconds=30) for number in range(jobs)
        ]
        until(lambda: result(client, identifiers[jobs // 4])["status"] == "succeeded", seconds=90, what="a quarter")
        victim.kill()
        held: set[str] = set()
        until(lambda: held.update(held_by(pool, "worker-b")) or bool(held), seconds=60, what="a sandbox of the other")
        pool.tear_away(min(held))
        start_worker("worker-c")
        ended = [result(client, identifier, wait=60) for identifier in identifiers]
    assert [one["status"] for one in ended] == ["succeeded"] * jobs
    assert [one["stdout"] for one in ended] == [f"{number * 2}\n" for number in range(jobs)]
    record_property("jobs_per_second", round(jobs / (time.monotonic() - began), 2))
    until(lambda: not held_by(pool, "worker-a"), seconds=90, what="what the killed worker held to be gone")


def test_a_drained_worker_ends_its_job_and_leaves_nothing_claimed(
    stack: Stack, start_worker: StartWorker, pool: PodPool
) -> None:
    """An autoscaler that takes a worker away must cost neither a job nor sandboxes."""
    worker = start_worker("worker-a", FLEET_DRAIN_SECONDS="60")
    with stack.client() as client:
        identifier = submit(client, language="bash", code="sleep 3; echo ended")
        until(lambda: result(client, identifier)["status"] == "running", what="the job to run")
        worker.terminate()
        ended = result(client, identifier, wait=30)
        assert (ended["status"], ended["stdout"], ended["attempt"]) == ("succeeded", "ended\n", 1)
    assert worker.popen.wait(timeout=30) == 0
    assert not pool.claimed()


@on_pods
def test_a_job_that_outlasts_the_drain_is_run_again_elsewhere(
    stack: Stack, start_worker: StartWorker, pool: PodPool
) -> None:
    """What does not end in time goes back to the queue, and its pod goes."""
    worker = start_worker("worker-a", FLEET_DRAIN_SECONDS="1")
    with stack.client() as client:
        identifier = submit(client, language="bash", code="sleep 5; echo ended")
        until(lambda: result(client, identifier)["status"] == "running", what="the job to run")
        worker.terminate()
        assert worker.popen.wait(timeout=30) == 0
        assert not pool.claimed()
        start_worker("worker-b")
        ended = result(client, identifier, wait=60)
        assert (ended["status"], ended["stdout"], ended["attempt"]) == ("succeeded", "ended\n", 2)


@on_pods
def test_a_network_that_nothing_closes_keeps_jobs_from_running_and_says_why(
    stack: Stack, start_worker: StartWorker
) -> None:
    """Many network plugins accept a NetworkPolicy and enforce nothing; this pool has not even one."""
    worker = start_worker("worker-a", FLEET_NETWORK_CANARY="enforce", FLEET_METRICS_LISTEN="127.0.0.1:0")
    with stack.client() as client:
        identifier = submit(client, code="print(1)")

        def refused() -> bool:
            return "a sandbox reached" in httpx.get(f"{stack.url}/ready").text

        until(refused, seconds=60, what="the canary's refusal")
        (reason,) = (each for each in httpx.get(f"{stack.url}/ready").json()["reasons"] if "a sandbox" in each)
        assert "the Kubernetes API server at" in reason
        assert "FLEET_NETWORK_CANARY=report" in reason
        with psycopg.connect(stack.database_url) as connection:
            found = connection.execute("SELECT count(*) FROM workers WHERE reason LIKE 'a sandbox reached%'")
            assert found.fetchone() == (1,)
        assert result(client, identifier)["status"] == "queued"
        worker.kill()
        # The operator has decided to live with it.
        start_worker("worker-b")
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
