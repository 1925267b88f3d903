"""What the components declare in a cluster, judged by a real API server before anything of it runs."""

import copy
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from declared_manifests import Manifest, declared, title
from kubernetes_fleet import declare_fleet
from objects_server import ObjectsServer, pods_of
from recording import FLEET

RUNNING_KINDS = {"Deployment", "StatefulSet", "DaemonSet"}


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> ObjectsServer:
    """The API server of the tests' node, or of the one that the environment names."""
    if "AGENT_FLEET_TEST_KUBECONFIG" not in os.environ:
        request.getfixturevalue("node")
    return ObjectsServer(
        os.environ.get("AGENT_FLEET_TEST_KUBECTL", "kubectl"), Path(os.environ["AGENT_FLEET_TEST_KUBECONFIG"])
    )


@pytest.fixture(scope="module")
def manifests(server: ObjectsServer) -> Iterator[list[Manifest]]:
    """The objects of a fleet of all components, in namespaces that are there, with their limits and accounts."""
    unique = f"objects-{secrets.token_hex(4)}"
    found: list[Manifest] = json.loads(json.dumps(declared(declare_fleet)).replace(FLEET, unique))
    try:
        server.prepare(found)
        yield found
    finally:
        server.remove(found)


def test_the_api_server_accepts_every_object_without_a_warning(
    server: ObjectsServer, manifests: list[Manifest]
) -> None:
    """A misspelt field is dropped, and a wrong value found out by an update that stops half-way."""
    verdict = server.judge(manifests)
    assert verdict.complaints == ""
    assert verdict.accepted == {title(each) for each in manifests}
    assert len(verdict.accepted) > 50


def test_every_pod_template_makes_a_pod_that_its_namespace_admits(
    server: ObjectsServer, manifests: list[Manifest]
) -> None:
    """A Deployment is accepted whatever its pods are: refused for the standard, limits or quota, none starts."""
    pods = pods_of(manifests)
    assert {each["kind"] for each in manifests} >= RUNNING_KINDS
    assert len(pods) == sum(each["kind"] in RUNNING_KINDS for each in manifests)
    verdict = server.judge(pods)
    assert verdict.complaints == ""
    assert verdict.accepted == {title(each) for each in pods}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"securityContext": {"runAsUser": 0}}, "runAsUser=0"),
        ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, "hostPath"),
    ],
    ids=["host network", "root", "host path"],
)
def test_a_pod_of_strangers_code_with_less_posture_is_refused(
    server: ObjectsServer, manifests: list[Manifest], change: dict[str, Any], complaint: str
) -> None:
    """The judge may be asleep: what must be refused shows that it is not."""
    pod = next(copy.deepcopy(each) for each in pods_of(manifests) if "sandboxes" in each["metadata"]["namespace"])
    for field, value in change.items():
        pod["spec"][field] = value if field != "volumes" else [*pod["spec"]["volumes"], *value]
    verdict = server.judge([pod])
    assert not verdict.accepted
    assert "restricted" in verdict.complaints
    assert complaint in verdict.complaints


def test_a_pool_pod_above_the_limits_of_its_namespace_is_refused(
    server: ObjectsServer, manifests: list[Manifest]
) -> None:
    """One container would take a node that H8 shares between many."""
    pod = next(copy.deepcopy(each) for each in pods_of(manifests) if each["metadata"]["namespace"].endswith("-alpha"))
    pod["spec"]["containers"][0]["resources"]["limits"]["memory"] = "3Gi"
    verdict = server.judge([pod])
    assert not verdict.accepted
    assert "maximum memory usage per Container is 2Gi" in verdict.complaints
