"""The contract that every backend keeps, in sandboxes that are claimed from agent-sandbox's warm pool."""

import asyncio

import pytest
from agent_sandbox_pool import AgentSandboxPool
from hostile_programs import Siege, besiege, hold, hostile
from sandbox_daemon import Daemon, programs
from sandbox_pods import until
from test_sandbox_hostile import (
    test_a_job_that_breaks_its_runner_is_reported_and_forges_nothing,
    test_full_scratch_is_the_jobs_own_error,
    test_honest_jobs_are_answered_meanwhile,
    test_memory_hog_is_killed_and_reported,
    test_much_output_below_the_limit_is_cut_and_the_job_goes_on,
    test_one_job_finds_nothing_of_another,
    test_the_pool_is_whole_again_afterwards,
)
from test_sandbox_pods_recovery import names

__all__ = [
    "test_a_job_that_breaks_its_runner_is_reported_and_forges_nothing",
    "test_full_scratch_is_the_jobs_own_error",
    "test_honest_jobs_are_answered_meanwhile",
    "test_memory_hog_is_killed_and_reported",
    "test_much_output_below_the_limit_is_cut_and_the_job_goes_on",
    "test_one_job_finds_nothing_of_another",
    "test_the_pool_is_whole_again_afterwards",
]

STAYING = [*programs("overstayers"), *programs("survivors")]


@pytest.fixture(scope="module")
def daemon(claim_daemon: Daemon) -> Daemon:
    """Its sandboxes are claimed."""
    return claim_daemon


@pytest.fixture(scope="module")
def siege(daemon: Daemon) -> Siege:
    """What stays as long as it can, three at once, while another tenant's honest jobs go on."""
    return asyncio.run(besiege(daemon, STAYING, at_once=3, template="default", honest_template="default", pids=1024))


@pytest.mark.parametrize("program", STAYING)
def test_a_job_is_over_when_its_time_or_its_main_process_is(siege: Siege, program: str) -> None:
    """Nothing that a job does may win it time, and nothing that it leaves behind may hold its result."""
    hold(hostile(program), siege.results[program], pids=siege.pids)


_STAYS = """
import os, signal, subprocess, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
subprocess.Popen(["sleep", "1000"], start_new_session=True)
print("deaf", flush=True)
time.sleep(1000)
"""


async def test_a_job_that_hears_no_signal_ends_with_its_claim_and_not_after_the_pods_grace(
    daemon: Daemon, warm_pool: AgentSandboxPool
) -> None:
    """A worker may delete no pod here, so a pod's hour of grace must not be what ends a job that was killed."""
    await daemon.warm(seconds=60)
    held = warm_pool.bound()
    result = await daemon.run("python", _STAYS, timeout_seconds=2)
    assert (result.reason, result.stdout) == ("timed_out", b"deaf\n")
    (used,) = await _no_longer_claimed(warm_pool, held)
    until(lambda: used not in names(warm_pool), 60, "the pod of the killed job to be gone")


async def _no_longer_claimed(pool: AgentSandboxPool, held: set[str]) -> set[str]:
    def used() -> set[str]:
        return held - pool.bound()

    return await asyncio.to_thread(until, used, 30, "the used claim to be gone")
