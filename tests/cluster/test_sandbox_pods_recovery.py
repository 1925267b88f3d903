"""Pods come and go, and so do workers and the API server: what is left, and what becomes of jobs."""

import asyncio
import secrets
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, RunResult, SandboxLost, SandboxRefused
from sandbox_daemon import eventually
from sandbox_pods import PodPool, until
from sandbox_pods_fixtures import PodDaemon
from severed_connection import Connection

Daemons = Callable[..., PodDaemon]


@asynccontextmanager
async def running(
    daemon: PodDaemon, code: str, *, timeout_seconds: float = 20
) -> AsyncGenerator[asyncio.Task[RunResult]]:
    """A Bash job whose first line has arrived."""
    begun = asyncio.Event()
    payload = encode("bash", f"echo begun; {code}", None, {})
    request = RunRequest(secrets.token_hex(8), 1, "default", timeout_seconds, payload)
    job = asyncio.create_task(
        daemon.client.run(request, kill=asyncio.Event(), on_output=lambda _stream, _part: begun.set())
    )
    await asyncio.wait_for(begun.wait(), 30)
    yield job


def names(pool: PodPool) -> set[str]:
    """Every pod that there is."""
    return {pod["metadata"]["name"] for pod in pool.pods()}


async def test_a_pod_that_has_run_a_job_is_deleted_and_replaced(daemons: Daemons) -> None:
    """What one job leaves behind must not be there for the next."""
    daemon = daemons(warm=1, maximum=1)
    daemon.start()
    await daemon.warm()
    used = set(daemon.pool.claimed())
    assert (await daemon.run("python", "print(6 * 7)")).stdout == b"42\n"
    until(lambda: not used & names(daemon.pool), 10, "the used pod to be gone")
    await daemon.warm()
    assert not used & set(daemon.pool.claimed())


async def test_a_worker_that_stops_leaves_no_pod_claimed(daemons: Daemons) -> None:
    """A claimed pod that nobody holds is capacity lost."""
    daemon = daemons(warm=2)
    daemon.start()
    await daemon.warm()
    assert len(daemon.pool.claimed()) == 2
    assert daemon.send_signal(signal.SIGTERM) == 0
    until(lambda: not daemon.pool.claimed(), 10, "the claimed pods to be gone")


async def test_the_next_process_of_a_killed_workers_pod_deletes_what_it_held(daemons: Daemons) -> None:
    """A sandbox that has run part of a job must not run another, nor run on."""
    killed = daemons("worker-a", warm=2)
    killed.start()
    await killed.warm()
    async with running(killed, "sleep 100", timeout_seconds=200) as job:
        await killed.warm()
        held = set(killed.pool.claimed())
        assert len(held) == 3
        killed.kill()
        with pytest.raises(SandboxLost):
            await job
    successor = daemons("worker-a", warm=1)
    successor.start()
    until(lambda: not held & names(killed.pool), 30, "the pods of the killed worker to be gone")
    await successor.warm()


async def test_another_worker_deletes_what_a_killed_one_held(daemons: Daemons) -> None:
    """A worker whose node is gone has no successor under its name."""
    other = daemons("worker-b", warm=1)
    killed = daemons("worker-a", warm=2)
    other.start()
    killed.start()
    await killed.warm()
    await other.warm()
    held = {name for name, owner in killed.pool.claimed().items() if owner.startswith("worker-a")}
    assert len(held) == 2
    killed.kill()
    until(lambda: not held & names(killed.pool), 60, "the pods of the killed worker to be gone")
    await other.warm()


async def test_two_workers_never_share_a_pod(daemons: Daemons) -> None:
    """Two that claim at once must not both believe that they have it."""
    both = [daemons(f"worker-{number}", warm=2, maximum=4, start_timeout_seconds=90) for number in range(2)]
    for daemon in both:
        daemon.start()
    seen: dict[str, set[str]] = {}
    jobs = [
        asyncio.create_task(
            both[number % 2].run("bash", f"ls -A /tmp /job; echo {number} > /tmp/left", timeout_seconds=30)
        )
        for number in range(16)
    ]
    while not all(job.done() for job in jobs):
        for name, owner in (await asyncio.to_thread(both[0].pool.claimed)).items():
            seen.setdefault(name, set()).add(owner)
        await asyncio.wait(jobs, timeout=0.1)
    results = [job.result() for job in jobs]
    assert [result.exit_code for result in results] == [0] * 16
    assert not any(b"left" in result.stdout for result in results)
    assert all(len(owners) == 1 for owners in seen.values())


async def test_a_pod_deleted_under_its_job_ends_the_job_and_nothing_else(daemons: Daemons) -> None:
    """What happens to a pod is told, not waited for."""
    daemon = daemons(warm=1, maximum=2)
    daemon.start()
    await daemon.warm()
    (name,) = daemon.pool.claimed()
    async with running(daemon, "sleep 100", timeout_seconds=200) as job:
        daemon.pool.cluster("delete", "pod", "-n", daemon.pool.namespace, name, "--grace-period=0", "--force")
        result = await asyncio.wait_for(job, 20)
    assert (result.reason, result.exit_code) == ("sandbox_terminated", None)
    assert result.stdout == b"begun\n"
    await daemon.warm()


async def test_a_job_ends_within_the_grace_of_its_evicted_pod(daemons: Daemons) -> None:
    """A drained node, or a new image of the sandboxes, must not end a job that has time to end."""
    daemon = daemons(warm=1, maximum=2)
    daemon.start()
    await daemon.warm()
    (name,) = daemon.pool.claimed()
    async with running(daemon, "sleep 4; echo ended") as job:
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": daemon.pool.namespace},
        }
        path = f"/api/v1/namespaces/{daemon.pool.namespace}/pods/{name}/eviction"
        daemon.pool.cluster("create", "--raw", path, "-f", "-", given=eviction)
        result = await job
    assert (result.reason, result.stdout) == ("exited", b"begun\nended\n")


async def test_a_waiting_pod_that_is_evicted_is_replaced_before_a_job_meets_it(daemons: Daemons) -> None:
    """A job on a pod that is about to go would be cut off."""
    daemon = daemons(warm=1, maximum=2)
    daemon.start()
    await daemon.warm()
    (name,) = daemon.pool.claimed()
    daemon.pool.cluster("delete", "pod", "-n", daemon.pool.namespace, name, "--wait=false")
    until(lambda: name not in names(daemon.pool), 10, "the evicted pod to be gone at once, not after its grace")
    await daemon.warm()
    assert (await daemon.run("python", "print(1)")).exit_code == 0


async def test_a_pod_whose_container_was_restarted_is_deleted_and_never_claimed(daemons: Daemons) -> None:
    """A restarted container has the volumes of the one before."""
    daemon = daemons(warm=0, maximum=1)
    pods = names(daemon.pool)
    chosen = sorted(pods)[0]
    # Attached to and let go: the end of its input ends the runner, as the death of a worker does.
    daemon.pool.cluster("attach", "-i", "-n", daemon.pool.namespace, chosen)
    restarted = "jsonpath={.status.containerStatuses[0].restartCount}"
    until(
        lambda: daemon.pool.cluster("get", "pod", "-n", daemon.pool.namespace, chosen, "-o", restarted) == "1",
        60,
        "the container to be restarted",
    )
    daemon.start()
    until(lambda: chosen not in names(daemon.pool), 20, "the restarted pod to be deleted")


async def test_a_shortage_of_pods_hands_a_job_back_and_breaks_nothing(own_daemons: Daemons) -> None:
    """That all pods are in use is nobody's failure: the job must not be counted as having failed."""
    daemon = own_daemons(warm=0, maximum=3, start_timeout_seconds=6)
    daemon.pool.scale(1)
    until(lambda: len(names(daemon.pool)) == 1, 60, "one pod to be left")
    daemon.start()
    async with running(daemon, "sleep 14") as job:
        with pytest.raises(SandboxRefused, match="no sandbox pod is free") as refusal:
            await daemon.run("bash", "true")
        assert refusal.value.code == "no_capacity"
        assert (await job).exit_code == 0
    count = await daemon.count()
    assert count is not None
    assert count.healthy


async def test_a_pool_without_pods_says_so(own_daemons: Daemons) -> None:
    """A worker that takes jobs which it cannot run only delays them."""
    daemon = own_daemons(warm=1)
    daemon.pool.scale(0)
    until(lambda: not names(daemon.pool), 60, "all pods to be gone")
    daemon.start()

    async def says_so() -> bool:
        count = await daemon.count()
        return count is not None and not count.healthy and "has no pod with agent-fleet.fleet=test" in str(count.reason)

    await eventually(says_so, 40, "the reason")
    daemon.pool.scale(2)
    await daemon.warm(seconds=150)


async def test_a_pod_without_the_posture_of_a_sandbox_gets_no_job(own_daemons: Daemons) -> None:
    """What a Deployment leaves out is not made up for by anything else."""
    daemon = own_daemons(warm=1)
    patch = '[{"op": "remove", "path": "/spec/template/spec/containers/0/resources"}]'
    deployment = ("-n", daemon.pool.namespace, "deployment/testing")
    daemon.pool.cluster("patch", *deployment, "--type=json", "-p", patch)
    daemon.pool.cluster("rollout", "status", *deployment, "--timeout=90s")
    daemon.start()

    async def says_so() -> bool:
        count = await daemon.count()
        return count is not None and "resources.limits must hold memory and cpu" in str(count.reason)

    await eventually(says_so, 60, "the reason")
    assert not daemon.pool.claimed()


async def test_an_api_server_that_is_away_for_a_while_is_taken_up_again(daemons: Daemons) -> None:
    """Its restart ends what it carried; what comes after must find everything as it is, not as it was."""
    daemon = daemons(warm=2)
    async with Connection(*daemon.pool.cluster.server) as connection:
        daemon.environment = {**daemon.environment, **connection.environment}
        daemon.start()
        await daemon.warm()
        async with running(daemon, "sleep 100", timeout_seconds=200) as job:
            await connection.sever()
            result = await asyncio.wait_for(job, 90)
        assert (result.reason, result.stdout) == ("sandbox_terminated", b"begun\n")

        async def noticed() -> bool:
            count = await daemon.count()
            return count is not None and not count.healthy and "does not answer" in str(count.reason)

        await eventually(noticed, 90, "the fault to be seen")
        # Meanwhile every pod is replaced: what the worker remembers is all wrong.
        gone = names(daemon.pool)
        daemon.pool.cluster("delete", "pods", "-n", daemon.pool.namespace, "--all", "--grace-period=0", "--force")
        await connection.restore()
        await daemon.warm(seconds=150)
        assert not gone & set(daemon.pool.claimed())
        assert (await daemon.run("python", "print(6 * 7)")).stdout == b"42\n"


async def test_a_token_that_is_replaced_is_read_again(daemons: Daemons) -> None:
    """Projected tokens are replaced every hour; a worker lives for weeks."""
    daemon = daemons(warm=1)
    daemon.start()
    await daemon.warm()
    token = daemon.folder / "credentials" / "token"
    valid = token.read_text()
    token.write_text("not a token")
    assert (await daemon.run("python", "print(1)")).exit_code == 0
    until(lambda: "401" in daemon.log(), 20, "the server to refuse the token")
    token.write_text(valid)
    await daemon.warm(seconds=150)
