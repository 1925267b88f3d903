"""`fleet run` against a real API and worker: what goes in, what comes out, and how it ends."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from client_command import Command, command_of
from runtime_processes import Stack, until

# Nothing answers there: a request would end with another code.
_NO_FLEET = {"FLEET_URL": "http://127.0.0.1:9", "FLEET_KEY": "fleet_00000000_0"}
_SLEEPER = "import time\nprint('begun', flush=True)\ntime.sleep(60)\n"


@pytest.fixture
def fleet(stack: Stack, tmp_path: Path) -> Command:
    """The command, with a tenant's key of this test's own."""
    return command_of(stack, tmp_path)


def _listed(fleet: Command) -> list[dict[str, object]]:
    answer = httpx.get(
        f"{fleet.environment['FLEET_URL']}/jobs", headers={"Authorization": f"Bearer {fleet.environment['FLEET_KEY']}"}
    )
    return answer.json()["jobs"]


def _a_job(fleet: Command, status: str) -> str:
    """Wait for the test's only job to be in a state."""
    found = until(lambda: [job["id"] for job in _listed(fleet) if job["status"] == status], what=f"a {status} job")
    return str(found[0])


def test_a_program_gives_its_output_and_its_exit_code(fleet: Command) -> None:
    """A script that calls `fleet run` must see what it would see of the program itself, and nothing beside it."""
    fleet.file("greet.py", "import sys\nprint('out ü')\nprint('err', file=sys.stderr)\nsys.exit(7)\n")
    ended = fleet.run("run", "greet.py")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "out ü\n".encode(), b"err\n")


def test_it_stands_in_a_pipe(fleet: Command) -> None:
    """Line ends, a missing last line end and control characters must pass as they are, in and out."""
    fleet.file("cat.py", "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())\n")
    given = "a\r\nb\rc\x01\x1b[0m ü \u2028 end without a line end".encode()
    ended = fleet.run("run", "cat.py", "--stdin", "-", given=given)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, given, b"")


@pytest.mark.parametrize(
    ("name", "code", "arguments"),
    [
        ("program.sh", "echo told", []),
        ("program", "#!/usr/bin/env python3\nprint('told')", []),
        ("program", "#!/bin/sh\necho told", []),
        ("program.txt", "echo told", ["--language", "bash"]),
        ("-", "#!/usr/bin/env -S python3 -u\nprint('told')", []),
        ("-", "print('told')", ["-l", "python"]),
    ],
)
def test_the_language_is_told_by_option_suffix_or_first_line(
    fleet: Command, name: str, code: str, arguments: list[str]
) -> None:
    """A wrong guess would show as a syntax error of another language."""
    if name != "-":
        fleet.file(name, code)
    ended = fleet.run("run", name, *arguments, given=code.encode())
    assert (ended.returncode, ended.stdout) == (0, b"told\n"), ended


def test_an_unclear_language_is_asked_for(tmp_path: Path) -> None:
    """Nothing may be sent on a guess."""
    fleet = Command(tmp_path, _NO_FLEET)
    fleet.file("program", "print(1)")
    ended = fleet.run("run", "program")
    assert ended.returncode == 120
    assert b"--language" in ended.stderr


def test_files_and_folders_go_along(fleet: Command) -> None:
    """Programs of more than one file, and inputs that are not text, must arrive as they are."""
    fleet.file("data/deep/numbers", bytes(range(256)))
    fleet.file("data/plain.txt", "text")
    fleet.file("module.py", "word = 'imported'")
    fleet.file("main.txt", "renamed")
    code = (
        "import module, pathlib\nprint(module.word)\n"
        "print(pathlib.Path('data/deep/numbers').read_bytes() == bytes(range(256)))\n"
        "print(pathlib.Path('data/plain.txt').read_text(), pathlib.Path('in/put').read_text())\n"
    )
    fleet.file("program.py", code)
    options = ("--file", "data", "--file", "./module.py", "--file", "main.txt=in/put")
    ended = fleet.run("run", "program.py", *options)
    assert ended.stdout.decode().splitlines() == ["imported", "True", "text renamed"], ended


@pytest.mark.parametrize(
    ("code", "arguments", "expected"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", [], 128 + signal.SIGTERM),
        ("import time; time.sleep(60)", ["--timeout", "0.5"], 124),
        ("#sandbox: terminated", [], 123),
        ("#sandbox: refuse start_failed", ["--max-attempts", "1"], 125),
        ("raise SystemExit(124)", [], 124),
    ],
)
def test_an_end_that_is_not_the_programs_own_has_a_code_of_its_own(
    fleet: Command, code: str, arguments: list[str], expected: int
) -> None:
    """A script must tell a job that was lost, or ran out of time, from one that failed."""
    fleet.file("program.py", code)
    ended = fleet.run("run", "program.py", *arguments)
    assert ended.returncode == expected, ended
    # One line that says why, where the program did not choose the code itself.
    assert (len(ended.stderr.splitlines()) == 1) == ("SystemExit" not in code), ended.stderr


def test_a_result_as_json_is_the_fleets_own(fleet: Command) -> None:
    """Programs that read the result must get all of it, and the exit code as well."""
    fleet.file("program.py", "print(6 * 7)\nraise SystemExit(3)")
    ended = fleet.run("run", "--json", "program.py")
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["stdout"], document["exit_code"]) == (3, "42\n", 3)
    assert {"id", "status", "attempt", "queued_ms", "run_ms", "warm", "error"} <= document.keys()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_cancels_the_job(fleet: Command, number: signal.Signals, code: int) -> None:
    """A job that nobody waits for any more would take a sandbox until its time limit."""
    fleet.file("program.py", _SLEEPER)
    process = fleet.start("run", "program.py")
    job = _a_job(fleet, "running")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (code, b"")
    assert "Traceback" not in stderr.decode()
    assert _a_job(fleet, "cancelled") == job


def test_an_interrupt_of_a_detached_run_leaves_the_job(fleet: Command) -> None:
    """Who detaches wants the job to go on."""
    fleet.file("program.py", _SLEEPER)
    ended = fleet.run("run", "--detach", "program.py")
    job = ended.stdout.decode().strip()
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert _a_job(fleet, "running") == job
    assert fleet.run("cancel", job).returncode == 0


def test_a_reader_that_goes_away_ends_it_quietly(fleet: Command) -> None:
    """`fleet run … | head` must not end in a stack trace."""
    fleet.file("program.py", "print('x' * 1_000_000)")
    process = fleet.start("run", "program.py")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=20) == 141


def test_progress_is_for_terminals_only(fleet: Command) -> None:
    """Lines that overwrite each other are noise in a log."""
    fleet.file("program.py", "import time\nprint('told')\ntime.sleep(0.1)")

    def said(*arguments: str) -> bytes:
        ours, theirs = pty.openpty()
        process = fleet.start("run", "program.py", *arguments, stderr=theirs)
        os.close(theirs)
        stdout, _ = process.communicate(timeout=20)
        assert (process.returncode, stdout) == (0, b"told\n")
        text = b""
        # Once the other end is closed, reading from a terminal fails and does not end.
        try:
            while part := os.read(ours, 4096):
                text += part
        except OSError:
            pass
        os.close(ours)
        return text

    assert b"sending" in said()
    assert said("--quiet") == b""
    assert fleet.run("run", "program.py").stderr == b""


def test_output_that_was_cut_is_said_to_be(fleet: Command) -> None:
    """A pipe that goes on with a part must not take it for the whole."""
    fleet.file("program.py", "print('x' * 1_100_000)")
    ended = fleet.run("run", "program.py")
    assert (ended.returncode, len(ended.stdout)) == (0, 1_048_576)
    assert b"stdout was longer" in ended.stderr
    assert fleet.run("run", "-q", "program.py").stderr == b""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "large.py"], b"at most 100000"),
        (["run", "program.py", "--stdin", "large.bin"], b"8388608 bytes"),
        (["run", "program.py", "--file", "huge.bin"], b"16777216 bytes"),
        (["run", "program.py", "--file", "many"], b"more than 1000"),
        (["run", "program.py", "--stdin", "binary"], b"as a file of the job"),
        (["run", "program.py", "--file", "absent"], b"No such file"),
        (["run", "absent.py"], b"No such file"),
        (["run", "-", "--stdin", "-"], b"read once"),
        (["run", "program.py", "--detach", "--json"], b"exclude each other"),
        (["result", "../jobs"], b"not a job's id"),
    ],
)
def test_what_the_fleet_would_refuse_is_not_sent(tmp_path: Path, arguments: list[str], expected: bytes) -> None:
    """An upload of 40 MB that ends in a refusal costs a minute; the reason is known before."""
    fleet = Command(tmp_path, _NO_FLEET)
    fleet.file("program.py", "print(1)")
    fleet.file("large.py", "#" * 100_001)
    fleet.file("large.bin", b"x" * 8_388_609)
    fleet.file("huge.bin", b"x" * 16_777_217)
    fleet.file("binary", b"\xff")
    for number in range(1001):
        fleet.file(f"many/{number}", b"")
    ended = fleet.run(*arguments)
    assert ended.returncode == 120, ended
    assert expected in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_fleets_own_refusal_is_told_in_a_line(fleet: Command) -> None:
    """What only the fleet knows, as its languages and limits, is said in its words."""
    fleet.file("program.py", "print(1)")
    ended = fleet.run("run", "program.py", "--language", "cobol")
    assert ended.returncode == 121
    assert b"allowed are" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_output_that_is_followed_is_the_programs_own(fleet: Command) -> None:
    """What is shown as it comes must be, byte for byte, what is shown at the end."""
    fleet.file(
        "program.py", "import sys\nsys.stdout.buffer.write(b'\\xff')\nsys.stderr.write('x')\nraise SystemExit(5)"
    )
    ended = fleet.run("run", "--follow", "program.py")
    assert (ended.returncode, ended.stdout, ended.stderr) == (5, b"\xff", b"x")


def test_output_that_is_not_text_arrives_as_it_is(fleet: Command) -> None:
    """JSON has no bytes: an archive or an image that a job writes must not be cut to what is UTF-8."""
    fleet.file("program.py", "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 1000)\nsys.stderr.write('x')")
    ended = fleet.run("run", "program.py")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, bytes(range(256)) * 1000, b"x")


def test_help_names_every_command_and_ends_well(tmp_path: Path) -> None:
    """The first call of a new user."""
    fleet = Command(tmp_path)
    ended = fleet.run("--help")
    assert ended.returncode == 0
    for name in ("run", "result", "jobs", "logs", "cancel", "usage"):
        assert f"\n  {name} ".encode() in ended.stdout
    assert subprocess.run([str(fleet.program), "--version"], check=False, capture_output=True).returncode == 0
