"""A fleet whose node loses its power, or its API server, while jobs run and wait: nothing is lost, nothing is left."""

import signal
from typing import Any

import pytest
from deployed_apart import containers_of_pods, fleet_apart
from deployed_cluster import Fleet, wait_for
from node_apart import NodeApart

from engine.targets.cluster_client import ApiError

__all__ = ["fleet_apart"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

_LONG: dict[str, Any] = {"language": "bash", "code": "sleep 15; echo ran", "timeout_seconds": 60}
_SHORT: dict[str, Any] = {"language": "python", "code": "print('waited')", "timeout_seconds": 30}


def _jobs(fleet: Fleet) -> tuple[dict[str, str], list[str]]:
    """Two jobs that run, one with attempts left when its sandbox dies; and jobs that wait behind them."""
    running = {"by itself": fleet.send(**_LONG), "as asked": fleet.send(**_LONG, max_attempts=3)}
    for job in running.values():
        wait_for(lambda job=job: fleet.status(job) == "running", "both jobs run")
    return running, [fleet.send(**_SHORT) for _ in range(5)]


def _each_once(fleet: Fleet, jobs: list[str]) -> None:
    """Each is listed once, ended."""
    with fleet.http() as client:
        listed = client.get("/jobs", params={"limit": 200}).json()["jobs"]
    found = [each["id"] for each in listed if each["id"] in jobs]
    assert sorted(found) == sorted(jobs)
    assert not [each for each in listed if each["status"] in ("queued", "running")]


def _whole(fleet: Fleet) -> dict[str, Any] | None:
    """The sandbox pods, once there are as many as there shall be, each ready and fresh."""
    try:
        pods = fleet.pods("sandbox")
    except ApiError:
        return None
    ready = {
        pod["metadata"]["name"]: pod
        for pod in pods
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
    }
    used = [pod for pod in pods if any(each["restartCount"] for each in pod["status"].get("containerStatuses", []))]
    return ready if len(ready) == len(pods) == 3 and not used else None


def _owners(fleet: Fleet) -> set[str]:
    """The processes that have claimed sandboxes."""
    claims = (pod["metadata"].get("annotations", {}).get("agent-fleet.claimed-by") for pod in fleet.pods("sandbox"))
    return {owner for owner in claims if owner}


def _accepts(fleet: Fleet) -> bool:
    """Whether it says itself that it takes and runs jobs."""
    try:
        with fleet.http() as client:
            return client.get("/ready").status_code == 200
    except OSError:
        return False


def _nothing_left(fleet: Fleet, apart: NodeApart) -> None:
    """No sandbox that ran, and no container of a pod that is gone."""
    wait_for(lambda: _whole(fleet), "the sandboxes are all there, and fresh", 180)

    def unknown() -> dict[str, str]:
        pods = {pod["metadata"]["uid"] for pod in fleet.client.get("/api/v1/pods")["items"]}
        return {name: uid for name, uid in containers_of_pods(apart).items() if uid not in pods}

    wait_for(lambda: not unknown(), "no container is left of a pod that is gone", 120)


def test_a_restarted_api_server_loses_no_job(fleet_apart: Fleet, node_apart: NodeApart) -> None:
    """A job's stream leads through it: what breaks there must neither hang, nor run again unasked, nor be lost."""
    running, waiting = _jobs(fleet_apart)
    node_apart.processes()["api-server"].send(signal.SIGKILL)
    assert "api-server" in node_apart.up()
    found = {name: fleet_apart.result(job, 180) for name, job in running.items()}
    assert found["by itself"]["status"] == "failed"
    assert found["by itself"]["error"]["code"] == "sandbox_terminated"
    assert (found["as asked"]["status"], found["as asked"]["stdout"]) == ("succeeded", "ran\n")
    assert found["as asked"]["attempt"] > 1
    assert [fleet_apart.result(job, 120)["stdout"] for job in waiting] == ["waited\n"] * 5
    _each_once(fleet_apart, [*running.values(), *waiting])
    _nothing_left(fleet_apart, node_apart)


def test_after_a_power_failure_the_fleet_goes_on_by_itself(fleet_apart: Fleet, node_apart: NodeApart) -> None:
    """Whoever runs a fleet is asleep when the power fails: `make cluster` at boot is all that it may need."""
    running, waiting = _jobs(fleet_apart)
    last = fleet_apart.send(**_LONG, max_attempts=1)
    dead = _owners(fleet_apart)
    assert dead
    node_apart.lose_power()
    assert len(node_apart.up()) == 11
    for job in running.values():
        result = fleet_apart.result(job, 300)
        assert (result["status"], result["stdout"]) == ("succeeded", "ran\n")
        assert result["attempt"] == 2
    assert [fleet_apart.result(job, 120)["stdout"] for job in waiting] == ["waited\n"] * 5
    assert fleet_apart.result(last, 120)["status"] == "succeeded"
    _each_once(fleet_apart, [*running.values(), *waiting, last])
    wait_for(lambda: _accepts(fleet_apart), "the fleet is ready", 120)
    _nothing_left(fleet_apart, node_apart)
    assert not _owners(fleet_apart) & dead
    said = fleet_apart.succeed("up").output
    assert not [word for word in ("created", "updated", "replaced", "deleted") if f" {word} " in said], said
