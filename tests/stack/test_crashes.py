"""kill -9 at any moment: of the engine while it deploys, of a worker, of sandboxd, of the database."""

import json
import os
import random
import signal
import subprocess
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from deployed_stack import FLEET_LABEL, ROLE_LABEL, DeployedStack, NewStack, kill_group, wait_for
from docker.errors import APIError

ROLES = {"api", "worker", "sandboxd", "database"}


def _kill(container: Any) -> None:
    """Kill the container's first process from the host's side; Docker sees a crash and obeys the restart policy."""
    container.reload()
    process = container.attrs["State"]["Pid"]
    assert process, "it does not run"
    os.kill(process, signal.SIGKILL)


def _ready(stack: DeployedStack) -> bool:
    with suppress(Exception), stack.client() as client:
        return client.get("/ready").status_code == 200
    return False


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may kill a container's process from the host")


@pytest.fixture
def ready(stack: DeployedStack) -> DeployedStack:
    """The shared fleet, ready."""
    wait_for(lambda: _ready(stack), "the fleet is ready", 90)
    return stack


@needs_root
def test_the_job_of_a_killed_worker_ends_once(ready: DeployedStack) -> None:
    """A job in a dead worker's hands must neither hang nor be reported twice."""
    with ready.client() as client:
        body = {"language": "python", "code": "import time\ntime.sleep(6)\nprint('done')", "timeout_seconds": 30}
        job = client.post("/execute", json=body).json()["id"]
        wait_for(lambda: client.get(f"/result/{job}").json()["status"] == "running", "the job runs")
        _kill(ready.container("worker"))
        result = ready.result(client, job, 60)
        assert (result["status"], result["stdout"]) == ("succeeded", "done\n")
        assert result["attempt"] >= 2
        listed = [each for each in client.get("/jobs", params={"limit": 50}).json()["jobs"] if each["id"] == job]
        assert [each["status"] for each in listed] == ["succeeded"]


@needs_root
def test_a_killed_sandboxd_comes_back_and_leaves_no_sandbox_behind(ready: DeployedStack) -> None:
    """Sandboxes that nobody knows any more would fill the host."""
    with ready.client() as client:
        body = {"language": "python", "code": "import time\ntime.sleep(300)", "timeout_seconds": 301, "max_attempts": 1}
        job = client.post("/execute", json=body).json()["id"]
        wait_for(lambda: client.get(f"/result/{job}").json()["status"] == "running", "the job runs")
        before = {str(each.id) for each in ready.containers("sandbox", every=True)}
        _kill(ready.container("sandboxd"))
        result = ready.result(client, job, 60)
        assert result["status"] in ("failed", "lost")
        assert result["error"]["code"]
    wait_for(lambda: _ready(ready), "the fleet is ready again")
    wait_for(
        lambda: not before & {str(each.id) for each in ready.containers("sandbox", every=True)},
        "the sandboxes of the dead sandboxd are gone",
    )
    assert ready.run(language="bash", code="echo again")["stdout"] == "again\n"


@needs_root
def test_a_killed_database_keeps_what_was_accepted(ready: DeployedStack) -> None:
    """Accepted means committed, and committed means there after a crash."""
    with ready.client() as client:
        accepted = [
            client.post("/execute", json={"language": "bash", "code": f"sleep 0.2; echo {number}"}).json()["id"]
            for number in range(12)
        ]
        _kill(ready.container("database"))
        results = [ready.result(client, job, 90) for job in accepted]
    assert [result["stdout"] for result in results] == [f"{number}\n" for number in range(12)]


@needs_root
def test_a_killed_api_comes_back(ready: DeployedStack) -> None:
    """The clients' next request must find it."""
    _kill(ready.container("api"))
    wait_for(lambda: _ready(ready), "the fleet is ready again")
    assert ready.run(language="bash", code="echo again")["stdout"] == "again\n"


def _engines(stack: DeployedStack) -> list[int]:
    """The processes of the engine that work on this stack."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"pulumi" in words[0] and any(stack.name.encode() in word for word in words):
                found.append(int(entry.name))
    return found


def _started(stack: DeployedStack, process: subprocess.Popen[str]) -> bool:
    return bool(_engines(stack)) or process.poll() is not None


def _assert_converged(stack: DeployedStack) -> None:
    """What Docker has and what the state knows is the same, and it works."""
    checkpoint = json.loads(stack.state_file.read_text())["checkpoint"]["latest"]
    assert not checkpoint.get("pending_operations")
    known = {each["id"] for each in checkpoint["resources"] if each["type"].startswith("docker:index/container:")}
    own = [each for each in stack.containers(every=True) if each.labels[ROLE_LABEL] != "sandbox"]
    assert {each.id for each in own} == known
    assert {each.labels[ROLE_LABEL] for each in own} == ROLES
    assert len(own) == len(ROLES)
    label = {"label": f"{FLEET_LABEL}={stack.fleet}"}
    assert len(stack.docker.networks.list(filters=label)) == 2
    assert len(stack.docker.volumes.list(filters=label)) == 2
    assert stack.run(language="bash", code="echo whole")["stdout"] == "whole\n"


@pytest.mark.timeout(600)
def test_make_up_converges_after_the_engine_was_killed_at_random_moments(new_stack: NewStack) -> None:
    """A deployment that was cut off must need no repair by hand, and nothing of it may be left over."""
    stack = new_stack()
    chosen = random.Random(os.environ.get("FLEET_TEST_SEED"))
    moments = [round(chosen.uniform(0.1, 14.0), 2) for _ in range(5)]
    for moment in moments:
        process = stack.start("up")
        wait_for(partial(_started, stack, process), "the engine has started", 120)
        threading.Event().wait(moment)
        for engine in _engines(stack):
            with suppress(ProcessLookupError):
                os.kill(engine, signal.SIGKILL)
        output, _ = process.communicate(timeout=120)
        assert "Traceback" not in output, (moments, output)
    ended = stack.make("up")
    assert ended.code == 0, (moments, ended.output)
    _assert_converged(stack)
    _down_leaves_nothing(stack)


@pytest.mark.timeout(600)
def test_make_up_converges_after_the_whole_run_was_killed(new_stack: NewStack) -> None:
    """A closed terminal or a rebooted machine kills everything at once."""
    stack = new_stack()
    process = stack.start("up")
    wait_for(lambda: stack.containers("database", every=True), "the database's container is there", 180)
    kill_group(process)
    process.communicate()
    for engine in _engines(stack):
        with suppress(ProcessLookupError):
            os.kill(engine, signal.SIGKILL)
    ended = stack.make("up")
    assert ended.code == 0, ended.output
    _assert_converged(stack)
    _down_leaves_nothing(stack)


def _down_leaves_nothing(stack: DeployedStack) -> None:
    volumes = {
        mount["Name"]
        for container in stack.containers(every=True)
        for mount in container.attrs["Mounts"]
        if mount["Type"] == "volume"
    }
    images = {tag for image in stack.docker.images.list() for tag in image.tags}
    stack.succeed("down")
    assert stack.objects() == set()
    assert not volumes & {str(volume.name) for volume in stack.docker.volumes.list()}
    assert images >= {tag for image in stack.docker.images.list() for tag in image.tags if stack.fleet in tag}
    with suppress(APIError):
        assert stack.succeed("down").code == 0
