"""Every object before a real API server, and every pod template as a Pod in the namespace that it is for.

The server knows the definitions of others' objects; that those judge is shown by what they refuse.
"""

import copy
from typing import Any

import pytest
from api_server import ApiServer, Manifest
from custom_resource_definitions import definitions
from declared_manifests import title
from judge_fixtures import Judged, judged, server  # noqa: F401 - fixtures  # pyright: ignore[reportUnusedImport]
from judged_objects import COMPOSED, objects_of, pods_of

pytestmark = pytest.mark.timeout(300)


def test_the_server_accepts_every_object(judged: Judged, server: ApiServer) -> None:  # noqa: F811
    """A field that does not exist, a name too long or an object of no definition shows in production."""
    assert judged.manifests
    faults = [
        f"{title(each)}: {fault}" for each in judged.manifests for fault in server.apply(each, dry_run=True).faults
    ]
    assert not faults


def test_every_pod_is_admitted_to_its_namespace(judged: Judged, server: ApiServer) -> None:  # noqa: F811
    """Pod Security, limits and quota judge pods: a Deployment is accepted whose pods never come."""
    pods = list(pods_of(judged.manifests))
    assert pods
    faults = [
        f"{title(workload)}: {fault}" for workload, pod in pods for fault in server.create(pod, dry_run=True).faults
    ]
    assert not faults


def weaknesses() -> list[tuple[str, str]]:
    """What is done to a pod, and what must be said to it."""
    return [
        ("privileged", "violates PodSecurity"),
        ("host path", "violates PodSecurity"),
        ("too much memory", "maximum memory usage per Container"),
    ]


@pytest.mark.parametrize(("weakness", "says"), weaknesses())
def test_a_pod_that_takes_more_is_refused(judged: Judged, server: ApiServer, weakness: str, says: str) -> None:  # noqa: F811
    """The namespaces that judge here would admit anything."""
    _, pod = next(
        (workload, pod)
        for workload, pod in pods_of(judged.manifests)
        if workload["metadata"].get("labels", {}).get("agent-fleet.role") == "pool"
    )
    verdict = server.create(_weakened(pod, weakness), dry_run=True)
    assert verdict.status == 403
    assert says in verdict.message


def _weakened(pod: Manifest, weakness: str) -> Manifest:
    found = copy.deepcopy(pod)
    container = found["spec"]["containers"][0]
    if weakness == "privileged":
        container["securityContext"] = {"privileged": True}
    elif weakness == "host path":
        found["spec"].setdefault("volumes", []).append({"name": "host", "hostPath": {"path": "/"}})
    else:
        container["resources"]["limits"]["memory"] = "64Gi"
    return found


def one(kind: str) -> Manifest:
    """One of our objects of a kind, in a namespace that exists everywhere."""
    found = copy.deepcopy(next(each for each in objects_of(COMPOSED) if each["kind"] == kind))
    if "namespace" in found["metadata"]:
        found["metadata"]["namespace"] = "default"
    return found


def put(spec: Any, path: str, value: Any) -> None:
    """Set what a dotted path names."""
    *parents, last = path.split(".")
    for key in parents:
        spec = spec[int(key)] if key.isdigit() else spec[key]
    spec[last] = value


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("DestinationRule", "trafficPolicy.loadBalancer.simple", "FEWEST"),
        ("DestinationRule", "trafficPolicy.circuitBreaker", {"consecutiveErrors": 3}),
        ("VirtualService", "http.0.fault.delay.percent_of_requests", 1),
        ("PeerAuthentication", "mtls.mode", "ON"),
        ("ScaledObject", "minReplicaCount", -1),
        ("ScaledObject", "fallback.behavior", "keep"),
        ("TriggerAuthentication", "secretTargetRef.0.password", "in the clear"),
        ("NodePool", "disruption.consolidationPolicy", "WhenIdle"),
        ("NodePool", "template.spec.expireAfter", "a week"),
        ("EC2NodeClass", "amiSelectorTerms.0.alias", "al2023"),
        ("EC2NodeClass", "metadataOptions.httpTokens", "sometimes"),
        ("Gateway", "listeners.0.port", 0),
    ],
)
def test_a_field_or_value_that_does_not_exist_is_refused(
    server: ApiServer,  # noqa: F811
    kind: str,
    path: str,
    value: Any,
) -> None:
    """A definition that keeps unknown fields accepts every mistake, and the judges' verdicts are worth nothing."""
    good = one(kind)
    assert not server.apply(good, dry_run=True).faults
    put(good["spec"], path, value)
    verdict = server.apply(good, dry_run=True)
    assert verdict.status >= 400
    assert path.rsplit(".", 1)[-1] in verdict.message or path.rsplit(".", 2)[-2] in verdict.message


def test_every_definition_that_an_object_of_ours_needs_is_there() -> None:
    """An object of no definition would not be judged at all."""
    served = {(each["spec"]["group"], each["spec"]["names"]["kind"]) for each in definitions()}
    custom = {
        (each["apiVersion"].split("/")[0], each["kind"])
        for each in objects_of(COMPOSED)
        if "." in each["apiVersion"].split("/")[0] and not each["apiVersion"].split("/")[0].endswith(".k8s.io")
    }
    assert custom <= served
    assert len(custom) >= 8
