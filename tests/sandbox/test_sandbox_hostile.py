"""Programs that attack their sandbox. Each says what it achieved; without its marker it never ran."""

import asyncio
import re
import time

import pytest
from sandbox_daemon import MEBIBYTE, Daemon, programs, source


@pytest.mark.parametrize("program", programs("attacks"))
async def test_an_attack_achieves_nothing(daemon: Daemon, program: str) -> None:
    """Forged results, another's memory, a way out: each of these has worked somewhere."""
    language, code = program.rpartition(".")[2], source(program)
    expected = code.splitlines()[0].removeprefix("# achieves: ")
    marker = {"python": "\nprint('MARKER')\nraise SystemExit(9)", "bash": "\necho MARKER; exit 9"}[language]
    result = await daemon.run(language, code + marker)
    output = result.stdout.decode(errors="replace")
    assert "MARKER\n" in output, (result, output)
    assert re.findall(r"^ACHIEVED (.*)$", output, re.MULTILINE) == [expected]
    assert result.reason == "exited"
    assert result.exit_code == (0 if "closerange" in code else 9)
    assert "Cap" not in output
    assert "raised" not in output


async def test_fork_bomb_ends_with_its_job_and_a_neighbour_is_answered_meanwhile(daemon: Daemon) -> None:
    """A fork bomb must hit its own limit, and die to the last process at the time limit."""
    bomb = "echo MARKER; f() { f | f & }; f; wait; sleep 60"
    bombing = asyncio.create_task(daemon.run("bash", bomb, timeout_seconds=2))
    honest = await daemon.run("python", "print(6 * 7)", timeout_seconds=15)
    assert honest.stdout == b"42\n"
    result = await bombing
    assert b"MARKER" in result.stdout
    assert result.reason in {"timed_out", "exited"}
    await daemon.warm()


async def test_python_fork_bomb_is_held_at_the_process_limit(daemon: Daemon) -> None:
    """The limit counts processes and threads of the whole sandbox."""
    code = source("floods/forks.python")
    result = await daemon.run("python", code)
    assert b"MARKER" in result.stdout
    assert 0 < int(result.stdout.split()[1]) < 64
    assert result.reason == "exited"


async def test_memory_hog_is_killed_and_reported(daemon: Daemon) -> None:
    """Running out of memory must be told from a crash."""
    result = await daemon.run("python", "print('MARKER', flush=True)\nx = b'x' * (10 ** 9)")
    assert b"MARKER" in result.stdout
    assert result.oom_killed
    assert (result.reason, result.exit_code, result.signal) == ("exited", None, "SIGKILL")


async def test_full_scratch_is_the_jobs_own_error(daemon: Daemon) -> None:
    """A full disk of a job must not be the host's."""
    code = source("floods/scratch.python")
    result = await daemon.run("python", code)
    assert result.stdout.decode().splitlines() == ["/job 63 ENOSPC", "/tmp 16 ENOSPC", "/dev/shm 16 ENOSPC", "MARKER"]


async def test_files_without_end_are_stopped(daemon: Daemon) -> None:
    """Inodes are kernel memory that no size limit of a file system counts."""
    code = source("floods/inodes.python")
    result = await daemon.run("python", code)
    *counts, marker = result.stdout.decode().split()
    assert marker == "MARKER", result
    assert all(0 < int(count) < 5000 for count in counts), counts


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_endless_output_is_kept_in_part_and_then_ends_the_job(daemon: Daemon, stream: str) -> None:
    """Output must fill neither memory nor a log, on either stream."""
    code = f"import sys\ns = sys.{stream}.buffer\ns.write(b'MARKER')\nwhile True: s.write(b'x' * 65536)"
    result = await daemon.run("python", code)
    kept, other = (result.stdout, result.stderr) if stream == "stdout" else (result.stderr, result.stdout)
    assert (result.reason, result.exit_code) == ("output_limit", None)
    assert kept == b"MARKER" + b"x" * (MEBIBYTE - 6)
    assert other == b""
    assert (result.stdout_truncated, result.stderr_truncated) == (stream == "stdout", stream == "stderr")


async def test_much_output_below_the_limit_is_cut_and_the_job_goes_on(daemon: Daemon) -> None:
    """A job that writes much and then ends by itself has ended by itself."""
    code = "import sys\nfor _ in range(40): sys.stdout.write('y' * 1048576)\nsys.exit(6)"
    result = await daemon.run("python", code)
    assert (result.reason, result.exit_code, len(result.stdout)) == ("exited", 6, MEBIBYTE)
    assert result.stdout_truncated
    assert not result.stderr_truncated


async def test_output_of_exactly_the_limit_is_whole(daemon: Daemon) -> None:
    """The boundary must not be called truncated."""
    result = await daemon.run("python", "import sys; sys.stdout.write('z' * 1048576)")
    assert (len(result.stdout), result.stdout_truncated) == (MEBIBYTE, False)


async def test_output_byte_by_byte_arrives_whole(daemon: Daemon) -> None:
    """Small writes must not be lost between frames."""
    result = await daemon.run("python", "import os\nfor n in range(20000): os.write(1 + n % 2, b'ab'[n % 2:n % 2 + 1])")
    assert (result.stdout, result.stderr) == (b"a" * 10000, b"b" * 10000)


async def test_descriptors_without_end_are_stopped(daemon: Daemon) -> None:
    """The table of open files is kernel memory too."""
    code = source("floods/descriptors.python")
    result = await daemon.run("python", code)
    count, marker = result.stdout.decode().split()
    assert marker == "MARKER"
    assert int(count) < 4096


@pytest.mark.parametrize("program", programs("survivors"))
async def test_a_job_ends_when_its_main_process_ends(daemon: Daemon, program: str) -> None:
    """Children that hold the pipes open must not hold the result."""
    began = time.monotonic()
    result = await daemon.run("python", source(program))
    assert b"MARKER\n" in result.stdout
    assert (result.reason, result.exit_code) == ("exited", 0)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("program", programs("overstayers"))
async def test_a_job_past_its_time_is_killed(daemon: Daemon, program: str) -> None:
    """Nothing that a job does may win it time."""
    result = await daemon.run("python", source(program), timeout_seconds=1)
    assert b"MARKER\n" in result.stdout
    if "slow_forks" not in program:
        assert (result.reason, result.exit_code, result.signal) == ("timed_out", None, "SIGKILL")
    assert 0 < result.run_ms < 8000


async def test_a_job_that_breaks_its_runner_is_reported_and_forges_nothing(daemon: Daemon) -> None:
    """The same user ID may set the runner's resource limits; that ends the job, not the service."""
    code = source("floods/runner_limits.python")
    result = await daemon.run("python", code, timeout_seconds=10)
    assert b"MARKER\n" in result.stdout
    assert (result.reason, result.exit_code) in {("sandbox_terminated", None), ("exited", 0)}
    await daemon.warm()


async def test_one_job_finds_nothing_of_another(daemon: Daemon) -> None:
    """A sandbox that has run a job is never used again."""
    await daemon.run(
        "bash", "echo secret > /tmp/left; echo secret > /job/left; echo secret > /dev/shm/left; (sleep 60 &)"
    )
    for _ in range(3):
        result = await daemon.run("bash", "ls -A /tmp /dev/shm /job; ps 2>/dev/null; ls -d /proc/[0-9]* | wc -l")
        assert b"left" not in result.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import os\nfor _ in range(5): os.fork() or os.setsid()\nprint('MARKER', flush=True)\nwhile True: pass",
        # Each process lives for a moment, and nobody waits for it.
        "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nprint('MARKER', flush=True)\n"
        "import time\nwhile True:\n    try:\n        if os.fork() == 0:\n            sum(range(10**6))\n"
        "            os._exit(0)\n    except BlockingIOError:\n        time.sleep(0.01)",
    ],
    ids=["many processes", "short-lived processes"],
)
async def test_processor_time_is_the_jobs_not_each_processes(daemon: Daemon, code: str) -> None:
    """A limit of each process is none to a job that starts others."""
    result = await daemon.run("python", code, template="frugal", timeout_seconds=60)
    assert b"MARKER" in result.stdout
    assert (result.reason, result.exit_code, result.signal) == ("cpu_limit", None, "SIGKILL")
    assert result.cpu_ms is not None
    assert 1000 <= result.cpu_ms < 3000


async def test_a_job_below_its_processor_time_meets_no_limit(daemon: Daemon) -> None:
    """Waiting costs nothing, and what the sandbox used before the job is not the job's."""
    for _ in range(2):
        result = await daemon.run("bash", "sleep 1.5; exit 3", template="frugal")
        assert (result.reason, result.exit_code) == ("exited", 3)
