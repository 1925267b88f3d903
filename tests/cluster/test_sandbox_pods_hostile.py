"""Programs that attack their sandbox, in a pod: what holds in a container holds there, unless it is named here."""

import asyncio

import pytest
from hostile_programs import Siege, besiege, hold, hostile, names
from sandbox_daemon import Daemon, source
from test_sandbox_hostile import (
    test_a_job_that_breaks_its_runner_is_reported_and_forges_nothing,
    test_descriptors_without_end_are_stopped,
    test_endless_output_is_kept_in_part_and_then_ends_the_job,
    test_full_scratch_is_the_jobs_own_error,
    test_honest_jobs_are_answered_meanwhile,
    test_memory_hog_is_killed_and_reported,
    test_much_output_below_the_limit_is_cut_and_the_job_goes_on,
    test_one_job_finds_nothing_of_another,
    test_output_byte_by_byte_arrives_whole,
    test_output_of_exactly_the_limit_is_whole,
    test_the_pool_is_whole_again_afterwards,
)
from test_sandbox_posture import test_the_kernel_agrees_with_what_was_asked_for

__all__ = [
    "test_a_job_that_breaks_its_runner_is_reported_and_forges_nothing",
    "test_descriptors_without_end_are_stopped",
    "test_endless_output_is_kept_in_part_and_then_ends_the_job",
    "test_full_scratch_is_the_jobs_own_error",
    "test_honest_jobs_are_answered_meanwhile",
    "test_memory_hog_is_killed_and_reported",
    "test_much_output_below_the_limit_is_cut_and_the_job_goes_on",
    "test_one_job_finds_nothing_of_another",
    "test_output_byte_by_byte_arrives_whole",
    "test_output_of_exactly_the_limit_is_whole",
    "test_the_kernel_agrees_with_what_was_asked_for",
    "test_the_pool_is_whole_again_afterwards",
]


@pytest.fixture(scope="module")
def daemon(pod_daemon: Daemon) -> Daemon:
    """Its sandboxes are pods."""
    return pod_daemon


async def test_the_end_of_a_long_output_is_never_lost(daemon: Daemon) -> None:
    """A container's streams close with it: a runner that leaves before it was heard takes the last of them along."""
    for _ in range(15):
        result = await daemon.run("python", "import sys; sys.stdout.write('z' * 1048576)")
        assert (result.reason, len(result.stdout)) == ("exited", 1_048_576)


# A pod has a network, and what denies it is the cluster's to enforce: the canary's business (test_sandbox_pods_canary).
_NETWORK = frozenset(
    f"attacks/{name}.python"
    for name in ("the_network", "metadata_and_name_servers", "listeners_of_the_host", "netlink")
)
# The seccomp profile is the node's: that of an older containerd lets these through.
_PROFILE = frozenset({"attacks/io_uring.python", "attacks/vsock.python"})
# A pod's limit of processes is above what its memory takes, and its files have no limit but the memory.
_NUMBERS = frozenset(f"floods/{name}.python" for name in ("forks", "threads", "zombies", "deep_folders"))
HOSTILE = [name for name in names() if name not in _NETWORK | _PROFILE | _NUMBERS]
_PIDS = 1024
# In a pod whose requests are below its limits the kernel may choose the runner, and the whole sandbox goes.
_MEMORY_ENDS = frozenset({"oom", "sandbox_terminated"})


@pytest.fixture(scope="module")
def siege(daemon: Daemon) -> Siege:
    """All programs that a node can hold, several at once, while another tenant's honest jobs go on."""
    return asyncio.run(besiege(daemon, HOSTILE, at_once=3, template="default", honest_template="default", pids=_PIDS))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("program", HOSTILE)
def test_a_hostile_program_in_a_pod_achieves_nothing(siege: Siege, program: str) -> None:
    """Forged results, another's memory, a way out: each of these has worked somewhere."""
    hold(hostile(program), siege.results[program], pids=siege.pids, memory_ends=_MEMORY_ENDS)


async def test_a_fork_bomb_is_held_at_the_nodes_limit_and_a_neighbour_is_answered_meanwhile(daemon: Daemon) -> None:
    """A pod has no limit of processes but the kubelet's podPidsLimit; without it one job takes the node's.

    Where that is above what fits into the pod's memory, the memory ends it, and in a pod whose requests are below its
    limits the kernel may choose the runner.
    """
    bombing = asyncio.create_task(daemon.run("python", source("floods/forks.python"), timeout_seconds=10))
    honest = await daemon.run("python", "print(6 * 7)", timeout_seconds=15)
    assert honest.stdout == b"42\n"
    result = await bombing
    if result.reason == "sandbox_terminated":
        assert result.oom_killed
    else:
        assert b"MARKER" in result.stdout
        assert 0 < int(result.stdout.split()[1]) < 1024
    await daemon.warm()


async def test_files_without_end_end_at_the_memory_limit(daemon: Daemon) -> None:
    """An emptyDir has no limit of inodes; the kernel memory that they take must be the pod's own."""
    result = await daemon.run("python", source("floods/inodes.python"), timeout_seconds=15)
    counts = result.stdout.decode().split()
    assert result.oom_killed or result.reason == "timed_out" or counts[-1] == "MARKER", result
    await daemon.warm()
