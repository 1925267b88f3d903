"""What the judges that ask an API server need: the definitions of others' objects, and namespaces as they would be."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from api_server import ApiServer, Manifest
from composed_fleet import RUNTIME_CLASS
from custom_resource_definitions import definitions
from declared_manifests import pod_template
from judged_objects import GUARDS, all_sources, fleet_of, objects_of
from node_under_test import NodeUnderTest, wait_for

from engine.file_lock import held
from engine.paths import Paths


@pytest.fixture(scope="module")
def server(node: NodeUnderTest) -> Iterator[ApiServer]:
    """The node's API server, knowing the objects of Istio, KEDA, Karpenter and the Gateway API."""
    # What one run's process takes away, another one may be judging by.
    with held(Paths().lock("judges")):
        server = ApiServer(node.kubeconfig)
        made: list[Manifest] = []
        for definition in (needed := _needed()):
            if server.get(definition) is None:
                verdict = server.create(definition, dry_run=False)
                assert verdict.status in (201, 409), verdict
                if verdict.status == 201:
                    made.append(definition)
        for definition in needed:
            name = definition["metadata"]["name"]
            wait_for(lambda definition=definition: _established(server, definition), f"the server serves {name}")
        yield server
        for definition in made:
            server.delete(definition)
        server.close()


@dataclass(frozen=True)
class Judged:
    """One source's objects under a name of this run's, with the namespaces and guards that are really there."""

    fleet: str
    manifests: tuple[Manifest, ...]


@pytest.fixture(scope="module", params=all_sources())
def judged(request: pytest.FixtureRequest, server: ApiServer) -> Iterator[Judged]:
    """Each source in turn. Its namespaces go afterwards, with all that is in them."""
    fleet = f"judged-{uuid.uuid4().hex[:8]}"
    manifests = _renamed(objects_of(request.param), fleet_of(request.param), fleet)
    guards = sorted((each for each in manifests if each["kind"] in GUARDS), key=lambda each: GUARDS.index(each["kind"]))
    made: list[Manifest] = []
    try:
        for guard in [*guards, *_runtime_classes(manifests)]:
            verdict = server.create(guard, dry_run=False)
            assert verdict.status in (201, 409), (guard, verdict)
            if verdict.status == 201 and "namespace" not in guard["metadata"]:
                made.append(guard)
        for quota in (each for each in guards if each["kind"] == "ResourceQuota"):
            wait_for(
                lambda quota=quota: (server.get(quota) or {}).get("status", {}).get("hard"), "the quota is counted"
            )
        yield Judged(fleet, manifests)
    finally:
        for each in made:
            server.delete(each)


def _needed() -> list[Manifest]:
    """The definitions of what is judged: every further one costs the server a second."""
    judged = {
        (each["apiVersion"].split("/")[0], each["kind"]) for source in all_sources() for each in objects_of(source)
    }
    return [each for each in definitions() if (each["spec"]["group"], each["spec"]["names"]["kind"]) in judged]


def _established(server: ApiServer, definition: Manifest) -> bool:
    found = server.get(definition) or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _runtime_classes(manifests: tuple[Manifest, ...]) -> list[Manifest]:
    named = {template["spec"].get("runtimeClassName") for each in manifests if (template := pod_template(each))}
    declared = {each["metadata"]["name"] for each in manifests if each["kind"] == "RuntimeClass"}
    assert named - declared <= {None, RUNTIME_CLASS}, named
    return [
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runsc"}
        for name in named - declared
        if name is not None
    ]


def _renamed(manifests: tuple[Manifest, ...], old: str, new: str) -> tuple[Manifest, ...]:
    """The same under another name, because the fleet itself may be deployed here, and hold its node port.

    The platform's namespaces, whose names are fixed, are renamed too: the cluster may have them, and keeps them.
    """
    found: list[Manifest] = json.loads(json.dumps(manifests).replace(old, new))
    fixed = {each["metadata"]["name"] for each in found if each["kind"] == "Namespace"}
    fixed = {name for name in fixed if not name.startswith(new)}
    for each in found:
        for field in ("name",) if each["kind"] == "Namespace" else ("namespace",):
            if each["metadata"].get(field) in fixed:
                each["metadata"][field] = f"{new}-{each['metadata'][field]}"
        for port in each["spec"].get("ports", []) if each["kind"] == "Service" else []:
            port.pop("nodePort", None)
    return tuple(found)
