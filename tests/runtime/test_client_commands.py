"""The other commands of `fleet` against a real API and worker, and how they find it."""

import json
import signal
from pathlib import Path

import pytest
from client_command import Command, command_of
from gated_code import until_there
from runtime_processes import Stack, start_stack, until


@pytest.fixture
def fleet(stack: Stack, tmp_path: Path) -> Command:
    """The command, with a tenant's key of this test's own."""
    return command_of(stack, tmp_path)


def _detached(fleet: Command, code: str, *options: str) -> str:
    fleet.file("program.py", code)
    ended = fleet.run("run", "--detach", "program.py", *options)
    assert ended.returncode == 0, ended
    return ended.stdout.decode().strip()


def test_a_result_is_shown_as_run_would_have(fleet: Command) -> None:
    """A job that was detached must be worth as much as one that was waited for."""
    job = _detached(fleet, "import sys\nprint('told')\nprint('err', file=sys.stderr)\nsys.exit(4)")
    ended = fleet.run("result", "--wait", job)
    assert (ended.returncode, ended.stdout, ended.stderr) == (4, b"told\n", b"err\n")
    again = fleet.run("result", "--json", job)
    assert (again.returncode, json.loads(again.stdout)["stdout"]) == (4, "told\n")


def test_a_job_that_goes_on_is_not_taken_for_one_that_ended(fleet: Command) -> None:
    """A script must not go on with half of an output."""
    job = _detached(fleet, "import time; time.sleep(60)")
    for command in ("result", "logs"):
        ended = fleet.run(command, job)
        assert (ended.returncode, ended.stdout) == (122, b""), ended
        assert b"--wait" in ended.stderr
    cancelled = fleet.run("cancel", job)
    assert (cancelled.returncode, cancelled.stdout.split()[0].decode()) == (0, job)
    assert fleet.run("result", "--wait", job).returncode == 130
    assert fleet.run("cancel", job).stdout.split()[1] == b"cancelled"


@pytest.mark.parametrize("options", [[], ["--follow"]])
def test_logs_show_a_jobs_output_whatever_its_end(fleet: Command, options: list[str]) -> None:
    """Reading what a failed job said is no failure."""
    job = _detached(fleet, "import sys\nprint('told')\nprint('err', file=sys.stderr)\nsys.exit(4)")
    assert fleet.run("result", "--wait", job).returncode == 4
    ended = fleet.run("logs", *options, job)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"told\n", b"err\n")


def test_following_ends_with_the_job(fleet: Command) -> None:
    """`fleet logs -f` of a running job must neither end early nor hang."""
    job = _detached(fleet, "import sys, time\nprint('begun', flush=True)\ntime.sleep(1)\nprint('end')")
    ended = fleet.run("logs", "-f", job)
    assert (ended.returncode, ended.stdout) == (0, b"begun\nend\n")


def test_an_interrupted_follower_leaves_the_job(fleet: Command) -> None:
    """Who looks on has no business ending it."""
    job = _detached(fleet, "import time; time.sleep(60)")
    process = fleet.start("logs", "-f", job)
    # It sleeps in its request once it is no longer starting.
    until(lambda: b"libssl" in _maps(process.pid) or process.poll() is not None, what="the command to have started")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in (130, -signal.SIGINT)
    assert json.loads(fleet.run("result", "--json", job).stdout)["status"] in ("queued", "running")
    fleet.run("cancel", job)


def _maps(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return b""


def test_jobs_are_listed_for_people_and_for_programs(fleet: Command) -> None:
    """Filters and pages must reach the fleet; a list without end must not be fetched unasked."""
    assert (fleet.run("jobs").stdout, fleet.run("jobs", "--json").stdout) == (b"", b"")
    failed = _detached(fleet, "raise SystemExit(3)")
    good = [_detached(fleet, "") for _ in range(21)]
    for job in (failed, *good):
        fleet.run("result", "--wait", job)
    header, *lines = fleet.run("jobs").stdout.decode().splitlines()
    assert header.split()[:2] == ["ID", "STATUS"]
    assert [line.split()[0] for line in lines] == list(reversed(good))[:20]
    everything = fleet.run("jobs", "--all", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in everything] == [*reversed(good), failed]
    only = fleet.run("jobs", "--status", "failed", "--status", "lost", "--all").stdout.decode().splitlines()
    assert [line.split()[0] for line in only[1:]] == [failed]
    assert fleet.run("jobs", "--language", "node", "--all").stdout == b""


def test_a_tenant_sees_what_it_has_used(fleet: Command) -> None:
    """Whose jobs wait must be able to see what for."""
    job = _detached(fleet, "")
    fleet.run("result", "--wait", job)
    # A tenant without limits sees its use up to a second late.
    until(lambda: json.loads(fleet.run("usage", "--json").stdout)["today"]["jobs"], what="the job in the tenant's use")
    ended = fleet.run("usage")
    assert ended.returncode == 0, ended
    used = {line[2:20].strip(): line[20:].split() for line in ended.stdout.decode().splitlines()[1:]}
    assert used["jobs today"] == ["1", "no", "limit"]
    assert used["queued"][0] == "0"
    assert json.loads(fleet.run("usage", "--json").stdout)["today"]["jobs"] == 1


@pytest.mark.parametrize("identifier", ["01932f5e-7d2a-7c3b-9f00-3a5f0d9b1c2d"])
def test_an_unknown_job_is_told_in_a_line(fleet: Command, identifier: str) -> None:
    """No stack trace, and a code that tells it from a failed job."""
    for command in ("result", "logs", "cancel"):
        ended = fleet.run(command, identifier)
        assert (ended.returncode, ended.stdout) == (121, b"")
        assert b"There is no such job" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


def test_a_wrong_key_and_an_absent_fleet_are_told_apart(fleet: Command) -> None:
    """One is mended by another key, the other by another address; no error may show the key."""
    key = fleet.environment["FLEET_KEY"]
    wrong = fleet.run(
        "jobs", environment={**fleet.environment, "FLEET_KEY": key[:-1] + ("0" if key[-1] != "0" else "1")}
    )
    assert wrong.returncode == 121
    assert b"FLEET_KEY" in wrong.stderr
    absent = fleet.run("jobs", "--patience", "0", environment={"FLEET_URL": "http://127.0.0.1:9", "FLEET_KEY": key})
    assert absent.returncode == 126
    assert b"refused" in absent.stderr
    nowhere = fleet.run("jobs", environment={"FLEET_URL": "http://fleet.invalid", "FLEET_KEY": key})
    assert nowhere.returncode == 126
    broken = fleet.run("jobs", environment={**fleet.environment, "FLEET_KEY": key + " \n x"})
    assert broken.returncode == 120
    for ended in (wrong, absent, nowhere, broken):
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert key[:-1].encode() not in ended.stderr


def test_the_file_of_a_deployment_says_where_and_with_which_key(fleet: Command) -> None:
    """What `make up` writes must be enough, also where teams have keys of their own."""
    url, key = fleet.environment["FLEET_URL"], fleet.environment["FLEET_KEY"]
    fleet.environment = {}
    assert fleet.run("jobs").returncode == 120
    fleet.file("other.json", json.dumps({"url": url, "api_keys": {"alpha": "wrong", "beta": key}}))
    assert b"alpha, beta" in fleet.run("jobs", "--deployment", "other.json").stderr
    assert fleet.run("jobs", "--deployment", "other.json", "--team", "beta").returncode == 0
    assert fleet.run("jobs", "--deployment", "other.json", environment={"FLEET_TEAM": "beta"}).returncode == 0
    fleet.file(".fleet/mine.json", "{}")
    assert b".fleet/mine.json" in fleet.run("jobs").stderr
    fleet.file(".fleet/local.json", json.dumps({"url": url, "api_key": key}))
    assert fleet.run("jobs").returncode == 0
    assert fleet.run("jobs", "--key-file", "-", "--url", url, given=key.encode() + b"\n").returncode == 0


def test_a_key_goes_to_no_address_that_it_was_not_given_with(fleet: Command) -> None:
    """An address from somewhere, and the key of the fleet that is at hand, would give that key away."""
    url, key = fleet.environment["FLEET_URL"], fleet.environment["FLEET_KEY"]
    fleet.file(".fleet/local.json", json.dumps({"url": url, "api_key": key}))
    assert fleet.run("jobs", environment={"FLEET_URL": url}).returncode == 120
    assert fleet.run("jobs", "--url", url, environment={}).returncode == 120
    assert fleet.run("jobs", environment={"FLEET_KEY": key}).returncode == 120


def test_the_way_into_a_cluster_is_named_where_it_is_shut(fleet: Command) -> None:
    """A fleet without an address outside answers only through a command that has to run."""
    opening = "kubectl port-forward service/api 8080"
    fleet.file("cluster.json", json.dumps({"url": "http://127.0.0.1:9", "opening": opening, "api_key": "k"}))
    ended = fleet.run("jobs", "--deployment", "cluster.json", "--patience", "0", environment={})
    assert ended.returncode == 126
    assert opening.encode() in ended.stderr


def test_a_full_queue_is_waited_for_and_then_told(database_url: str, tmp_path: Path) -> None:
    """A refusal that passes must not end a script at once; one that does not must not hang it."""
    with start_stack(database_url, QUEUE_LIMIT="1") as own:
        fleet = command_of(own, tmp_path)
        job = _detached(fleet, "")
        fleet.file("program.py", "")
        ended = fleet.run("run", "-d", "program.py", "--patience", "1")
        assert ended.returncode == 127
        assert b"Too many jobs are queued" in ended.stderr
        process = fleet.start("run", "-d", "program.py")
        assert fleet.run("cancel", job).returncode == 0
        stdout, stderr = process.communicate(timeout=30)
        assert (process.returncode, stderr) == (0, b""), stdout


def test_a_fleet_that_goes_away_and_comes_back_goes_unnoticed(database_url: str, tmp_path: Path) -> None:
    """An API that restarts, or dies, must not cost those who wait their result, nor run their job twice."""
    with start_stack(database_url, workers=1) as own:
        fleet = command_of(own, tmp_path)
        gate = tmp_path / "gate"
        fleet.file("program.py", f"import os, time\n{until_there(gate)}print('told')")
        # A new process takes the port of the old.
        own.environment["FLEET_API_LISTEN"] = own.url.removeprefix("http://")
        api = own.processes[0]
        waiting = [fleet.start("run", "program.py"), fleet.start("run", "--follow", "program.py")]
        listed = lambda: fleet.run("jobs", "--status", "running").stdout.splitlines()  # noqa: E731
        until(lambda: len(listed()) == 3, what="both jobs to run")
        api.kill()
        late = fleet.start("run", "program.py")
        own.start_api()
        gate.touch()
        for process in (*waiting, late):
            stdout, stderr = process.communicate(timeout=40)
            assert (process.returncode, stdout, stderr) == (0, b"told\n", b"")
        assert len(fleet.run("jobs", "--all", "--json").stdout.splitlines()) == 3
