"""kill -9 in a cluster: of a worker, of the engine while it deploys, of the API server; and the way back to nothing."""

import json
import os
import random
import signal
import subprocess
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from deployed_cluster import Fleet, kill_group, pool, wait_for
from deployed_fixtures import NewFleet
from kr8s.objects import Namespace, Pod, ServiceAccount

from engine.stack_state import StackState
from engine.targets.cluster_objects import known


def test_the_job_of_a_killed_worker_ends_once(fleet: Fleet) -> None:
    """A job in a dead worker's hands must neither hang nor be reported twice."""
    # Longer than a node may need to end the processes of a pod that is gone from the API: this attempt must not end.
    job = fleet.send(language="python", code="import time\ntime.sleep(20)\nprint('done')", timeout_seconds=60)
    wait_for(lambda: fleet.status(job) == "running", "the job runs")
    (worker,) = fleet.pods("pool")
    Pod(worker, api=fleet.api).delete(grace_period=0, force=True)
    result = fleet.result(job, 180)
    assert (result["status"], result["stdout"]) == ("succeeded", "done\n")
    assert result["attempt"] == 2
    with fleet.http() as client:
        listed = [each for each in client.get("/jobs", params={"limit": 50}).json()["jobs"] if each["id"] == job]
    assert [each["status"] for each in listed] == ["succeeded"]


def _engines(fleet: Fleet) -> list[int]:
    """The processes of the engine that work on this stack."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"pulumi" in words[0] and any(fleet.name.encode() in word for word in words):
                found.append(int(entry.name))
    return found


def _started(fleet: Fleet, process: subprocess.Popen[str]) -> bool:
    return bool(_engines(fleet)) or process.poll() is not None


def _kill_engines(fleet: Fleet) -> None:
    for engine in _engines(fleet):
        with suppress(ProcessLookupError):
            os.kill(engine, signal.SIGKILL)


def _assert_converged(fleet: Fleet) -> None:
    """What the cluster has and what the state knows is the same, and it works."""
    state = StackState(fleet.state_file.parents[3], fleet.name)
    assert not state.pending()
    labelled = {each.identity: each for each in fleet.objects()}
    unknown = [str(labelled[identity]) for identity in set(labelled) - known(state)]
    assert [name for name in unknown if not name.startswith("PersistentVolumeClaim ")] == []
    assert fleet.run(language="bash", code="echo whole")["stdout"] == "whole\n"
    said = fleet.succeed("up").output
    assert not [word for word in ("created", "updated", "replaced", "deleted") if f" {word} " in said], said


def _killed_at(fleet: Fleet, moments: list[float]) -> None:
    for moment in moments:
        fleet.write()
        process = fleet.start("up")
        wait_for(partial(_started, fleet, process), "the engine has started", 120)
        threading.Event().wait(moment)
        _kill_engines(fleet)
        output, _ = process.communicate(timeout=180)
        assert "Traceback" not in output, (moments, output)
    ended = fleet.make("up")
    assert ended.code == 0, (moments, ended.output)
    _assert_converged(fleet)


def _moments(count: int) -> list[float]:
    chosen = random.Random(os.environ.get("FLEET_TEST_SEED"))
    return [round(chosen.uniform(0.5, 20.0), 2) for _ in range(count)]


@pytest.mark.timeout(600)
def test_make_up_converges_after_the_engine_was_killed_once(new_fleet: NewFleet) -> None:
    """A deployment that was cut off must need no repair by hand; and `make down` leaves an empty cluster."""
    fleet = new_fleet()
    _killed_at(fleet, _moments(1))
    _down_leaves_nothing(fleet)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_make_up_converges_after_the_engine_was_killed_at_five_moments(new_fleet: NewFleet) -> None:
    """Whatever was half made at whichever moment is found and put right, and nothing is there twice."""
    fleet = new_fleet()
    _killed_at(fleet, _moments(5))
    _down_leaves_nothing(fleet)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_make_up_converges_after_the_whole_run_was_killed(new_fleet: NewFleet) -> None:
    """A closed terminal or a rebooted machine kills everything at once."""
    fleet = new_fleet()
    fleet.write()
    process = fleet.start("up")
    wait_for(lambda: fleet.pods("database"), "the database's pod is there", 240)
    kill_group(process)
    process.communicate()
    _kill_engines(fleet)
    assert fleet.succeed("up")
    _assert_converged(fleet)
    _down_leaves_nothing(fleet)


def _down_leaves_nothing(fleet: Fleet) -> None:
    cluster_wide = {str(each) for each in fleet.objects() if not each.namespace}
    fleet.succeed("down")
    assert fleet.objects() == []
    assert fleet.namespaces() == set()
    assert cluster_wide
    assert not fleet.state_file.exists()
    assert "nothing to remove" in fleet.succeed("down").output


@pytest.fixture
def not_ours(fleet: Fleet) -> Namespace:
    """A namespace of somebody else with a name like the fleet's."""
    made = Namespace(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{fleet.label}-beta"}}, api=fleet.api
    )
    made.create()
    return made


def test_a_namespace_of_somebody_else_is_neither_taken_nor_removed(fleet: Fleet, not_ours: Namespace) -> None:
    """Prevents a team's name from costing another's namespace."""
    try:
        with fleet.changed() as settings:
            settings["teams"]["beta"] = {"pools": {"testing": pool()}}
            ended = fleet.make("up")
            assert ended.code != 0, ended.output
            assert f"not this fleet's: {fleet.label}-beta" in ended.output
        assert not_ours.exists()
    finally:
        not_ours.delete()


def test_what_an_interrupted_run_left_is_removed_and_what_holds_jobs_stays(fleet: Fleet) -> None:
    """Prevents names that are taken for ever, and the loss of accepted jobs."""
    labels = {"agent-fleet.fleet": fleet.label, "agent-fleet.role": "pool"}
    metadata = {"name": "left-over", "namespace": f"{fleet.label}-alpha", "labels": labels}
    left = ServiceAccount({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, api=fleet.api)
    left.create()
    claims = {name for name in fleet.names() if name.startswith("PersistentVolumeClaim ")}
    said = fleet.succeed("up").output
    assert f"Removing the ServiceAccount {fleet.label}-alpha/left-over, which an interrupted run left." in said
    assert not left.exists()
    assert claims == {name for name in fleet.names() if name.startswith("PersistentVolumeClaim ")}


def test_another_checkout_leaves_the_fleet_alone(fleet: Fleet, tmp_path: Path) -> None:
    """Prevents a second clone's `make up` or `make down` from taking a working fleet for remains."""
    checkpoint = fleet.state_file
    hidden = checkpoint.rename(tmp_path / checkpoint.name)
    try:
        for goal in ("up", "down"):
            ended = fleet.make(goal)
            assert ended.code != 0, ended.output
            assert "this checkout did not deploy it" in ended.output
            assert f"{fleet.label}/api" in ended.output
    finally:
        hidden.rename(checkpoint)
    assert fleet.run(language="bash", code="echo alive")["stdout"] == "alive\n"


def test_the_settings_of_the_state_are_where_down_looks(fleet: Fleet) -> None:
    """Prevents `make down` in Docker for a fleet in a cluster whose settings file stood elsewhere."""
    resources = json.loads(fleet.state_file.read_text())["checkpoint"]["latest"]["resources"]
    assert any(resource["type"].startswith("kubernetes:") for resource in resources)
    assert fleet.label in fleet.make("status").output
