"""Sandboxes that a warm pool of agent-sandbox keeps, on real pods: claimed, used once, deleted with their claim.

What makes the pods is a stand-in of its controller (agent_sandbox_standin), as upstream's cannot be had here.
"""

import asyncio
import signal
from collections.abc import Callable

import pytest
from agent_sandbox_pool import AgentSandboxPool
from fleet_runtime.sandboxd.client import SandboxLost, SandboxRefused
from sandbox_daemon import eventually
from sandbox_pods import until
from sandbox_pods_fixtures import PodDaemon
from test_sandbox_pods_recovery import names, running

Daemons = Callable[..., PodDaemon]


async def test_a_claimed_sandbox_that_has_run_a_job_is_deleted_and_never_claimed_again(
    claim_daemons: Daemons, used_warm_pool: AgentSandboxPool
) -> None:
    """What one job leaves behind must not be there for the next."""
    daemon = claim_daemons(warm=1, maximum=1)
    daemon.start()
    await daemon.warm()
    (claim,) = used_warm_pool.claimed()
    sandbox = used_warm_pool.sandbox_of(claim)
    assert sandbox.startswith("testing-"), "it was cold, though one waited"
    assert (await daemon.run("python", "print(6 * 7)")).stdout == b"42\n"
    until(lambda: claim not in used_warm_pool.claimed(), 10, "the claim to be gone")
    until(lambda: sandbox not in used_warm_pool.sandboxes(), 30, "its Sandbox to be gone")
    until(lambda: sandbox not in names(used_warm_pool), 30, "its pod to be gone")
    await daemon.warm()
    (after,) = used_warm_pool.claimed()
    assert (after, used_warm_pool.sandbox_of(after)) != (claim, sandbox)


async def test_a_worker_that_stops_leaves_no_claim(claim_daemons: Daemons, used_warm_pool: AgentSandboxPool) -> None:
    """A claim that nobody holds is capacity lost."""
    daemon = claim_daemons(warm=2)
    daemon.start()
    await daemon.warm()
    assert len(used_warm_pool.claimed()) == 2
    assert daemon.send_signal(signal.SIGTERM) == 0
    until(lambda: not used_warm_pool.claimed(), 10, "the claims to be gone")


async def test_another_worker_deletes_the_claims_of_a_killed_one(
    claim_daemons: Daemons, used_warm_pool: AgentSandboxPool
) -> None:
    """A worker whose node is gone has no successor under its name, and its job is run again elsewhere."""
    other = claim_daemons("worker-b", warm=1)
    killed = claim_daemons("worker-a", warm=1)
    other.start()
    killed.start()
    await killed.warm()
    await other.warm()
    async with running(killed, "sleep 100", timeout_seconds=200) as job:
        await killed.warm()
        held = {claim for claim, owner in used_warm_pool.claimed().items() if owner.startswith("worker-a")}
        assert len(held) == 2
        pods = {used_warm_pool.sandbox_of(claim) for claim in held}
        killed.kill()
        with pytest.raises(SandboxLost):
            await job
    until(lambda: not held & used_warm_pool.claimed().keys(), 90, "the killed worker's claims to be gone")
    until(lambda: not pods & names(used_warm_pool), 60, "the killed worker's pods to be gone")
    await other.warm()


async def test_the_next_process_in_a_killed_workers_place_deletes_its_claims(
    claim_daemons: Daemons, used_warm_pool: AgentSandboxPool
) -> None:
    """A container that restarts finds what it held before, and must not use it."""
    killed = claim_daemons("worker-a", warm=2)
    killed.start()
    await killed.warm()
    held = set(used_warm_pool.claimed())
    killed.kill()
    successor = claim_daemons("worker-a", warm=1)
    successor.start()
    until(lambda: not held & used_warm_pool.claimed().keys(), 30, "the killed worker's claims to be gone")
    await successor.warm()


async def test_two_workers_never_share_a_claimed_sandbox(
    claim_daemons: Daemons, used_warm_pool: AgentSandboxPool
) -> None:
    """Two that claim at once must each have a sandbox where nobody was before."""
    both = [claim_daemons(f"worker-{number}", warm=1, maximum=2, start_timeout_seconds=90) for number in range(2)]
    for daemon in both:
        daemon.start()
    jobs = [
        both[number % 2].run("bash", f"ls -A /tmp /job; echo {number} > /tmp/left", timeout_seconds=30)
        for number in range(10)
    ]
    results = await asyncio.gather(*jobs)
    assert [result.exit_code for result in results] == [0] * 10
    assert not any(b"left" in result.stdout for result in results)


async def test_a_claim_deleted_under_its_job_ends_the_job_and_nothing_else(
    own_claim_daemons: Daemons, own_warm_pool: AgentSandboxPool
) -> None:
    """Somebody cleans up by hand, or the claim's own time is up: that is told, not waited for."""
    own_warm_pool.grace_seconds = 3
    own_warm_pool.create()
    daemon = own_claim_daemons(warm=1, maximum=2)
    daemon.start()
    await daemon.warm()
    (claim,) = own_warm_pool.claimed()
    async with running(daemon, "sleep 100", timeout_seconds=200) as job:
        own_warm_pool.give_up(claim)
        result = await asyncio.wait_for(job, 60)
    assert (result.reason, result.exit_code, result.stdout) == ("sandbox_terminated", None, b"begun\n")
    await daemon.warm(seconds=60)
    assert claim not in own_warm_pool.claimed()


async def test_a_waiting_sandbox_whose_claim_is_deleted_is_replaced_before_a_job_meets_it(
    claim_daemons: Daemons, used_warm_pool: AgentSandboxPool
) -> None:
    """A job on a pod that is about to go would be cut off."""
    daemon = claim_daemons(warm=1, maximum=2)
    daemon.start()
    await daemon.warm()
    (claim,) = used_warm_pool.claimed()
    used_warm_pool.give_up(claim)
    until(lambda: used_warm_pool.claimed().keys() - {claim}, 30, "another claim")
    await daemon.warm()
    assert (await daemon.run("python", "print(1)")).exit_code == 0


async def test_a_pool_without_room_hands_a_job_back_and_breaks_nothing(
    own_claim_daemons: Daemons, own_warm_pool: AgentSandboxPool
) -> None:
    """That the namespace's quota is in use is nobody's failure: the job must not be counted as having failed."""
    own_warm_pool.replicas, own_warm_pool.pods_at_most = 1, 2
    own_warm_pool.create()
    daemon = own_claim_daemons(warm=0, maximum=4, start_timeout_seconds=20)
    daemon.start()
    async with running(daemon, "sleep 60", timeout_seconds=90) as first:
        until(lambda: len(names(own_warm_pool)) == 2 and own_warm_pool.count_ready(), 60, "the pool to be refilled")
        async with running(daemon, "sleep 60", timeout_seconds=90) as second:
            with pytest.raises(SandboxRefused, match="exceeded quota") as refusal:
                await daemon.run("bash", "true")
            assert refusal.value.code == "no_capacity"
            count = await daemon.count()
            assert count is not None
            assert count.healthy
            second.cancel()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    async def runs_again() -> bool:
        try:
            return (await daemon.run("bash", "true")).exit_code == 0
        except SandboxRefused:
            return False

    await eventually(runs_again, 90, "a job to run again")


async def test_a_job_without_a_waiting_sandbox_gets_a_cold_one(
    own_claim_daemons: Daemons, own_warm_pool: AgentSandboxPool
) -> None:
    """A burst that empties the pool must not wait for its refill where the namespace has room."""
    own_warm_pool.replicas = 1
    own_warm_pool.create()
    daemon = own_claim_daemons(warm=0, maximum=3, start_timeout_seconds=60)
    daemon.start()
    results = await asyncio.gather(*(daemon.run("bash", "sleep 3; hostname", timeout_seconds=30) for _ in range(3)))
    assert [result.stdout for result in results] == [b"sandbox\n"] * 3


async def test_a_controller_that_does_not_run_is_named(
    claim_daemons: Daemons, used_warm_pool: AgentSandboxPool
) -> None:
    """Claims that nobody answers would look like a pool that is short for ever."""
    daemon = claim_daemons(warm=0, maximum=2, start_timeout_seconds=5)
    used_warm_pool.controller.stop()
    daemon.start()
    with pytest.raises(SandboxRefused, match="does agent-sandbox's controller run, with extensions") as refusal:
        await daemon.run("bash", "true")
    assert refusal.value.code == "start_failed"
    used_warm_pool.controller.start()

    async def runs() -> bool:
        try:
            return (await daemon.run("bash", "true")).exit_code == 0
        except SandboxRefused:
            return False

    await eventually(runs, 60, "a job to run")


async def test_a_warm_pool_that_is_not_there_is_named(claim_daemons: Daemons) -> None:
    """A misspelt name shows at once, and not as a start that takes too long."""
    daemon = claim_daemons(warm=0, maximum=2)
    daemon.environment = {**daemon.environment, "FLEET_AGENT_SANDBOX": "misspelt"}
    daemon.start()
    with pytest.raises(SandboxRefused, match="cannot be bound: WarmPoolNotFound") as refusal:
        await daemon.run("bash", "true")
    assert refusal.value.code == "start_failed"


async def test_a_template_without_the_posture_of_a_sandbox_gets_no_job(
    own_claim_daemons: Daemons, own_warm_pool: AgentSandboxPool
) -> None:
    """What somebody has changed in the template is not made up for by anything else."""
    own_warm_pool.create()
    daemon = own_claim_daemons(warm=1)
    patch = '[{"op": "remove", "path": "/spec/podTemplate/spec/automountServiceAccountToken"}]'
    template = ("-n", own_warm_pool.namespace, "sandboxtemplate/testing")
    before = names(own_warm_pool)
    own_warm_pool.cluster("patch", *template, "--type=json", "-p", patch)
    until(lambda: not before & names(own_warm_pool), 60, "the pods of the template as it was to be gone")
    own_warm_pool.ready()
    daemon.start()

    async def says_so() -> bool:
        count = await daemon.count()
        return count is not None and "automountServiceAccountToken must be false" in str(count.reason)

    await eventually(says_so, 60, "the reason")
    with pytest.raises(SandboxRefused, match="automountServiceAccountToken must be false"):
        await daemon.run("bash", "true")
