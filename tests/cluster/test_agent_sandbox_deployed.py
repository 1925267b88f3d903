"""A deployed fleet whose sandboxes pass from Deployments to agent-sandbox, under a job that runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_sandbox_standin import Controller
from deployed_cluster import Fleet, wait_for
from node_under_test import NodeUnderTest
from sandbox_pods import Cluster

LONG_JOB: dict[str, Any] = {
    "language": "bash",
    "code": "sleep 40; echo finished",
    "timeout_seconds": 90,
    "max_attempts": 1,
}
_CLAIMS = "/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/{}/sandboxclaims"


@pytest.fixture
def kept_fleet(node: NodeUnderTest, pod_cluster: Cluster, agent_sandbox_kinds: None, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet that is not up yet, on a cluster with agent-sandbox."""
    fleet = Fleet(tmp_path, node.kubeconfig, {"registry": node.layout.registry})
    controller = Controller(pod_cluster, f"{fleet.label}-alpha-sandboxes")
    controller.start()
    yield fleet
    # While it acts: what it keeps goes by its hand.
    fleet.remove()
    controller.stop()


def claims(fleet: Fleet) -> list[dict[str, Any]]:
    """Every claim of the fleet's one team."""
    return fleet.client.get(_CLAIMS.format(f"{fleet.label}-alpha-sandboxes"))["items"]


@pytest.mark.timeout(1200)
def test_a_fleet_passes_to_agent_sandbox_without_losing_the_job_that_runs(kept_fleet: Fleet) -> None:
    """An operator who installs agent-sandbox must not have to choose a night for it."""
    fleet = kept_fleet
    fleet.succeed("up")
    job = fleet.send(**LONG_JOB)
    wait_for(lambda: fleet.status(job) == "running", "the job runs")
    fleet.settings["platform"] = {"agent_sandbox": "exists"}
    fleet.succeed("up")
    result = fleet.result(job)
    assert (result["status"], result["stdout"], result["attempt"]) == ("succeeded", "finished\n", 1)
    held = wait_for(lambda: claims(fleet), "the new worker claims ahead of need")
    assert all("agent-fleet.claimed-by" in claim["metadata"]["annotations"] for claim in held)
    ran = fleet.run(language="bash", code="hostname; ls /var/run/secrets 2>&1")
    assert ran["stdout"].startswith("sandbox\n")
    assert "No such file" in ran["stdout"]
    owners = {pod["metadata"]["ownerReferences"][0]["kind"] for pod in fleet.pods("sandbox")}
    assert owners == {"Sandbox"}
    said = fleet.succeed("up").output
    assert not [word for word in ("created", "updated", "replaced", "deleted") if f" {word} " in said], said
    assert "sandboxes: " in fleet.succeed("status").output
    fleet.succeed("down", FORCE="yes")
    assert not fleet.namespaces()
