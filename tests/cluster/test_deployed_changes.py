"""Changes of a deployed fleet: pools that come and go, an autoscaler, a quota that is full, an update under load."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from deployed_cluster import Fleet, pool, wait_for
from kr8s import NotFoundError
from kr8s.objects import Deployment, Pod

LONG_JOB: dict[str, Any] = {
    "language": "bash",
    "code": "sleep 25; echo finished",
    "timeout_seconds": 60,
    "max_attempts": 1,
}


@pytest.mark.timeout(600)
def test_a_pool_adds_exactly_its_own_and_drains_when_it_goes(fleet: Fleet) -> None:
    """Prevents a new pool from restarting the others, and a removed one from killing the jobs that it runs."""
    before = {str(each): each.content["metadata"]["uid"] for each in fleet.objects()}
    pods = {pod["metadata"]["uid"] for pod in fleet.pods("pool")}
    with fleet.changed() as settings:
        settings["teams"]["alpha"]["pools"]["security"] = pool()
        settings["teams"]["alpha"]["default_pool"] = "testing"
        fleet.succeed("up")
        after = {str(each): each.content["metadata"]["uid"] for each in fleet.objects()}
        added = set(after) - set(before)
        assert added
        assert all("security" in name for name in added), added
        assert {name: after[name] for name in before} == before
        assert {pod["metadata"]["uid"] for pod in fleet.pods("pool")} == pods
        job = fleet.send(agent_type="security", **LONG_JOB)
        wait_for(lambda: fleet.status(job) == "running", "the job runs")
    fleet.succeed("up")
    result = fleet.result(job, 30)
    assert (result["status"], result["stdout"], result["attempt"]) == ("succeeded", "finished\n", 1)
    assert set(map(str, fleet.objects())) == set(before)
    with fleet.http() as client:
        gone = client.post("/execute", json={"language": "bash", "code": "1"}, headers={"agent-type": "security"})
        assert gone.status_code == 422


@pytest.mark.timeout(600)
def test_replicas_that_an_autoscaler_moved_are_left_alone(fleet: Fleet) -> None:
    """Prevents every deployment from undoing what load has asked for."""
    namespace = f"{fleet.label}-alpha"
    with fleet.changed() as settings:
        settings["teams"]["alpha"]["pools"]["testing"] |= {
            "maximum": 2,
            "autoscaler": "hpa",
            "sandboxes": 4,
            # What it uses when idle is more, so that the autoscaler itself wants two.
            "memory_percent": 10,
        }
        fleet.succeed("up")
        deployment = Deployment.get("testing", namespace=namespace, api=fleet.api)
        # As an autoscaler does it: through the subresource, so that the field is its own.
        deployment.scale(2)
        said = fleet.succeed("up").output
        assert not [word for word in ("created", "updated", "replaced", "deleted") if f" {word} " in said], said
        deployment.refresh()
        assert deployment.raw["spec"]["replicas"] == 2
    fleet.succeed("up")


@pytest.fixture
def full_quota(fleet: Fleet) -> Iterator[Pod]:
    """A pod of somebody else's that takes what the quota of the team's pools has left."""
    namespace = f"{fleet.label}-alpha"

    def settled() -> dict[str, Any] | None:
        """The quota, once pods of an earlier change have gone and it counts what stays."""
        pods = fleet.client.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        quota = fleet.client.get(f"/api/v1/namespaces/{namespace}/resourcequotas")["items"][0]["status"]
        counted = [pod for pod in pods if pod["status"].get("phase") in ("Pending", "Running")]
        containers = [container for pod in counted for container in pod["spec"]["containers"]]
        asked = sum(_milli(container["resources"]["requests"]["cpu"]) for container in containers)
        going = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        return None if going or asked != _milli(quota["used"]["requests.cpu"]) else quota

    quota = wait_for(settled, "the quota to count the pods that stay", 240)
    hard, used = quota["hard"], quota["used"]
    left = _milli(hard["requests.cpu"]) - _milli(used["requests.cpu"])
    parts = left // 1500 + 1  # one container may have no more than two processors
    amounts = {"cpu": f"{(left - 100) // parts}m", "memory": "128Mi"}
    image = fleet.pods("pool")[0]["spec"]["containers"][0]["image"]
    container = {
        "image": image,
        "command": ["/bin/false"],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    # A node that is not there: the pod takes its part of the quota and none of the machine.
    containers = [{**container, "name": f"filler-{number}"} for number in range(parts)]
    spec = {"containers": containers, "nodeSelector": {"no-such-node": "true"}}
    filler = Pod(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "filler", "namespace": namespace}, "spec": spec},
        api=fleet.api,
    )
    filler.create()
    yield filler
    with suppress(NotFoundError):
        filler.delete()


def _milli(quantity: str) -> int:
    return int(quantity[:-1]) if quantity.endswith("m") else round(float(quantity) * 1000)


@pytest.mark.timeout(600)
def test_a_quota_that_refuses_a_pod_is_said_while_the_user_waits(fleet: Fleet, full_quota: Pod) -> None:
    """Prevents ten silent minutes before a time-out that names no quota."""
    with fleet.changed() as settings:
        settings["limits"]["task_timeout_seconds"] = 121
        fleet.write()
        process = fleet.start("up")
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        try:
            wait_for(lambda: any("exceeded quota" in line for line in lines), "the quota is named", 120)
            status = fleet.make("status").output
            assert "exceeded quota: quota" in status
        finally:
            full_quota.delete()
            code = process.wait(180)
            reader.join(10)
        assert code == 0, "".join(lines)
    fleet.succeed("up")


@pytest.mark.timeout(900)
def test_an_update_of_the_api_fails_no_request(fleet: Fleet) -> None:
    """Prevents an outage at every deployment."""
    stop = threading.Event()
    answers: list[int | str] = []

    def ask() -> None:
        # A connection for each request: one that the server ends while it is idle is no request that failed.
        with fleet.http(limits=httpx.Limits(max_keepalive_connections=0)) as client:
            while not stop.is_set():
                try:
                    answers.append(client.get("/jobs", params={"limit": 1}).status_code)
                except Exception as error:
                    answers.append(f"{type(error).__name__}: {error}")
                stop.wait(0.02)

    before = {pod["metadata"]["uid"] for pod in fleet.pods("api")}
    askers = [threading.Thread(target=ask) for _ in range(3)]
    with fleet.changed() as settings:
        settings["api"]["queue_limit"] = 77
        for asker in askers:
            asker.start()
        try:
            fleet.succeed("up")
            wait_for(lambda: not before & {pod["metadata"]["uid"] for pod in fleet.pods("api")}, "the old API is gone")
        finally:
            stop.set()
            for asker in askers:
                asker.join(30)
    assert len(answers) > 100
    assert [answer for answer in answers if answer != 200] == []
    fleet.succeed("up")
