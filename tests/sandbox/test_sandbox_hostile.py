"""Programs that attack their sandbox. Each says what it achieved; without its marker it never ran."""

import asyncio
from collections.abc import Iterator

import pytest
from fleet_runtime.sandboxd.client import RunRequest, SandboxRefused
from hostile_programs import Siege, besiege, hold, hostile, names
from made_sandboxes import Way
from sandbox_daemon import MEBIBYTE, TEMPLATE, Daemon, source
from unchecked_payload import payload_with


@pytest.fixture(scope="module")
def siege(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """All programs, several at once on one sandboxd, while another tenant's honest jobs go on."""
    # Four attackers leave little of the processors to a start.
    template = {**TEMPLATE, "image": way.image, "runtime": way.runtime, "start_timeout_seconds": 60}
    templates = {"hostile": {**template, "maximum": 8}, "honest": {**template, "warm": 1, "maximum": 3}}
    daemon = Daemon(tmp_path_factory.mktemp("besieged"), templates, made=way.made)
    daemon.start()
    try:
        yield asyncio.run(
            besiege(
                daemon, names(), at_once=4, template="hostile", honest_template="honest", pids=int(TEMPLATE["pids"])
            )
        )
    finally:
        daemon.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", names())
def test_a_hostile_program_achieves_nothing(siege: Siege, program: str) -> None:
    """Forged results, another's memory, a way out, all of the machine: each of these has worked somewhere."""
    hold(hostile(program), siege.results[program], pids=siege.pids)


def test_honest_jobs_are_answered_meanwhile(siege: Siege) -> None:
    """Whoever shares a host with attackers must get the answers that he would get without them."""
    assert siege.before is not None
    assert siege.before.stdout.endswith(b" 42\n"), siege.before
    assert len(siege.honest) > 5
    for result in siege.honest:
        assert (result.reason, result.stdout, result.stderr) == ("exited", siege.before.stdout, b""), result


def test_the_pool_is_whole_again_afterwards(siege: Siege) -> None:
    """A sandbox that is left over holds memory for ever; one that is missing makes a later job wait."""
    assert siege.whole is not None
    assert siege.whole.healthy


def test_there_are_sixty_hostile_programs_at_least() -> None:
    """A folder that is moved or empty would make all of them pass."""
    assert len(names()) >= 60
    assert len({hostile(name).code for name in names()}) == len(names())


async def test_a_path_that_no_api_would_pass_on_is_refused_by_the_runner_too(daemon: Daemon) -> None:
    """Whoever reaches sandboxd past the API must not write where a job's folder ends."""

    async def refused(path: str) -> str:
        payload = payload_with(path, b"print('ACHIEVED')")
        with pytest.raises(SandboxRefused) as refusal:
            await daemon.client.run(RunRequest("job", 1, "default", 20, payload), kill=asyncio.Event())
        return refusal.value.code

    # What else is no path: test_job_payload.py asks the same code without a sandbox around it.
    codes = await asyncio.gather(*(refused(path) for path in ("../x", "/proc/1/fd/1", "main.py/x", "x\0y")))
    assert set(codes) == {"invalid_request"}


async def test_files_that_have_the_names_of_what_the_runner_uses_change_nothing(daemon: Daemon) -> None:
    """A job's folder comes first on Python's path: of the job alone, not of who judges it."""
    taken = b"import os; os.write(1, b'TAKEN'); os._exit(0)"
    modules = ("fleet_sandbox/__init__", "fleet_sandbox/runner", "sitecustomize", "usercustomize", "site", "select")
    others = ("encodings/__init__", "struct", "supervisor", "_signal", "time", "os", "zipimport")
    files = {f"{name}.py": taken for name in (*modules, *others)}
    files |= {
        "python3": b"#!/bin/sh\necho TAKEN",
        "main.pyc": b"x",
        "pyvenv.cfg": b"home = /job",
        "python311._pth": b"/job",
    }
    result = await daemon.run("python", "print('MARKER')\nraise SystemExit(9)", files=files)
    assert (result.reason, result.exit_code, result.stdout) == ("exited", 9, b"MARKER\n")


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
    jobs = (daemon.run("bash", "sleep 1.5; exit 3", template="frugal") for _ in range(2))
    assert [(each.reason, each.exit_code) for each in await asyncio.gather(*jobs)] == [("exited", 3)] * 2
