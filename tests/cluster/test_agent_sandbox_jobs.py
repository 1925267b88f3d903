"""Jobs from the API through real workers to claimed sandboxes: none is lost, whoever dies on the way."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from agent_sandbox_fixtures import agent_sandbox_kinds, own_warm_pool
from agent_sandbox_pool import AgentSandboxPool, collected
from calls import result, submit
from postgres_server import start_server
from runtime_processes import Process, Stack, start_stack, until
from sandbox_pods_fixtures import pod_cluster, pod_image

__all__ = ["agent_sandbox_kinds", "own_warm_pool", "pod_cluster", "pod_image"]

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
def worker_on_claims(stack: Stack, own_warm_pool: AgentSandboxPool, tmp_path: Path) -> StartWorker:
    """Starts workers on the test's pool, which is created with the first."""

    def start(name: str, **settings: str) -> Process:
        if not stack.workers:
            own_warm_pool.create()
            collected(own_warm_pool)
        folder = tmp_path / f"{name}-{len(stack.workers)}"
        environment = {
            **own_warm_pool.environment(folder / "credentials", warm=1, maximum=3),
            "FLEET_SANDBOXD_SOCKET": str(folder / "sandboxd.sock"),
            "FLEET_CONCURRENCY": "2",
            "FLEET_WORKER_ID": name,
        }
        return stack.start_pod_worker({**environment, **settings})

    return start


def claims_of(pool: AgentSandboxPool, worker: str) -> set[str]:
    """The claims that a worker made."""
    return {name for name, owner in pool.claimed().items() if owner.startswith(worker)}


@pytest.mark.parametrize("jobs", [16, pytest.param(100, marks=pytest.mark.soak)])
def test_no_job_is_lost_with_a_worker_killed_and_a_claim_deleted_on_the_way(
    jobs: int, stack: Stack, worker_on_claims: StartWorker, own_warm_pool: AgentSandboxPool
) -> None:
    """Accepted means that there will be a result."""
    own_warm_pool.grace_seconds = 3
    victim = worker_on_claims("worker-a")
    worker_on_claims("worker-b")
    with stack.client() as client:
        identifiers = [
            submit(client, code=f"print({number} * 2)", max_attempts=5, timeout_seconds=30) for number in range(jobs)
        ]
        until(lambda: result(client, identifiers[jobs // 4])["status"] == "succeeded", seconds=90, what="a quarter")
        victim.kill()
        held: set[str] = set()
        until(
            lambda: held.update(claims_of(own_warm_pool, "worker-b")) or bool(held),
            seconds=60,
            what="a claim of the other",
        )
        own_warm_pool.give_up(min(held))
        worker_on_claims("worker-c")
        ended = [result(client, identifier, wait=60) for identifier in identifiers]
    assert [one["status"] for one in ended] == ["succeeded"] * jobs
    assert [one["stdout"] for one in ended] == [f"{number * 2}\n" for number in range(jobs)]
    until(lambda: not claims_of(own_warm_pool, "worker-a"), seconds=90, what="the killed worker's claims to be gone")


def test_a_drained_worker_ends_its_job_and_leaves_no_claim(
    stack: Stack, worker_on_claims: StartWorker, own_warm_pool: AgentSandboxPool
) -> None:
    """An autoscaler that takes a worker away must cost neither a job nor sandboxes."""
    worker = worker_on_claims("worker-a", FLEET_DRAIN_SECONDS="60")
    with stack.client() as client:
        identifier = submit(client, language="bash", code="sleep 4; echo ended")
        until(lambda: result(client, identifier)["status"] == "running", what="the job to run")
        worker.terminate()
        ended = result(client, identifier, wait=30)
        assert (ended["status"], ended["stdout"], ended["attempt"]) == ("succeeded", "ended\n", 1)
    assert worker.popen.wait(timeout=30) == 0
    assert not own_warm_pool.claimed()
