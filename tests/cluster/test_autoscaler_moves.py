"""An autoscaler of ours on the real node, with a load that it can see."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from agent_fleet import PoolAutoscaler
from declared_manifests import Manifest, declared
from node_under_test import NodeUnderTest, new_name, wait_for

# Metrics every 10 s, a decision every 15 s, and the window of 60 s in which a pool must want to grow.
SCALE_SECONDS = 200
BURN = "while :; do :; done"


def burner(in_namespace: str, image: str) -> Manifest:
    """A Deployment without replicas, as a pool is, that uses all the CPU it gets: twice its request."""
    container = {
        "name": "main",
        "image": image,
        "command": ["bash", "-c", BURN],
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi"},
            "limits": {"cpu": "40m", "memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "burner", "namespace": in_namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "burner"}},
            "template": {"metadata": {"labels": {"app": "burner"}}, "spec": pod},
        },
    }


@pytest.fixture
def busy(node: NodeUnderTest, node_image: str) -> Iterator[str]:
    """A namespace with a load in it."""
    name = new_name("autoscaler")
    node.make_namespace(name)
    node.apply(burner(name, node_image))
    yield name
    node.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.soak
@pytest.mark.timeout(SCALE_SECONDS + 100)
def test_a_pool_under_load_grows_within_its_bounds(node: NodeUnderTest, busy: str) -> None:
    """An autoscaler that the server accepts may still read no metric, and a pool then stays as it is for ever."""
    arguments: Any = {"fleet": busy, "namespace": busy, "deployment": "burner", "minimum": 1, "maximum": 2}
    (autoscaler,) = declared(lambda: PoolAutoscaler("burner", arguments).kind)
    begun = time.monotonic()
    node.apply(autoscaler)
    wait_for(
        lambda: (
            json.loads(node.kubectl("get", "deployment", "burner", "-n", busy, "--output=json"))["spec"]["replicas"]
            == 2
        ),
        "a second pod is asked for",
        SCALE_SECONDS,
    )
    assert time.monotonic() - begun >= 60, "the pool grew before it had wanted to for its window"
    status = node.get("hpa", "burner", "-n", busy)["status"]
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert conditions["AbleToScale"] == conditions["ScalingActive"] == "True"
    assert {each["resource"]["name"] for each in status["currentMetrics"]} == {"cpu", "memory"}
    # The load goes on, and more than two there are never.
    assert status["desiredReplicas"] <= 2
