"""The autoscalers of pools, under mocks: their figures, their bounds, and what they refuse."""

import re
from typing import Any

import pytest
from agent_fleet.kubernetes.pool_autoscaler import QUERY, PoolAutoscaler
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import Declared, Recording, record

HPA = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
SCALED = "kubernetes:keda.sh/v1alpha1:ScaledObject"
AUTHENTICATION = "kubernetes:keda.sh/v1alpha1:TriggerAuthentication"
BASE = {"fleet": "f", "team": "alpha", "namespace": "f-alpha", "deployment": "testing", "pool": "testing"}
KEDA = {"database_secret": {"name": "testing"}, "template": "alpha-testing"}


def declare(preview: bool, **given: Any) -> Recording:
    """The autoscaler of one pool."""
    arguments: Any = {**BASE, **given}
    return record(lambda: PoolAutoscaler("testing", arguments).kind, preview=preview)


def only(found: list[Declared]) -> dict[str, Any]:
    """The specification of the one that there is."""
    (one,) = found
    return dict(one.inputs["spec"])


def test_the_defaults_are_the_documents_figures(preview: bool) -> None:
    """A pool would scale by figures that nobody agreed on."""
    spec = only(declare(preview).of_type(HPA))
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    targets = {each["resource"]["name"]: each["resource"]["target"]["averageUtilization"] for each in spec["metrics"]}
    assert targets == {"cpu": 70, "memory": 80}
    down, up = spec["behavior"]["scaleDown"], spec["behavior"]["scaleUp"]
    assert (down["stabilizationWindowSeconds"], up["stabilizationWindowSeconds"]) == (300, 60)
    assert {"type": "Percent", "value": 10, "periodSeconds": 60} in down["policies"]
    assert {"type": "Percent", "value": 50, "periodSeconds": 30} in up["policies"]


@pytest.mark.parametrize("direction", ["scaleDown", "scaleUp"])
def test_a_pool_of_any_size_can_move_by_one_pod(preview: bool, direction: str) -> None:
    """A tenth of nine replicas is none: a small pool would never shrink."""
    rules = only(declare(preview).of_type(HPA))["behavior"][direction]
    assert rules["selectPolicy"] == "Max"
    assert any(each["type"] == "Pods" and each["value"] == 1 for each in rules["policies"])


def test_both_kinds_scale_the_deployment_that_they_were_given(preview: bool) -> None:
    """An autoscaler of another Deployment moves nothing, and no error says so."""
    for found in (declare(preview).of_type(HPA), declare(preview, kind="keda", keda=KEDA).of_type(SCALED)):
        target = only(found)["scaleTargetRef"]
        assert (target["apiVersion"], target["kind"], target["name"]) == ("apps/v1", "Deployment", "testing")


def test_there_is_one_autoscaler_and_not_one_of_each_kind(preview: bool) -> None:
    """Two autoscalers of one Deployment fight."""
    assert not declare(preview).of_type(SCALED)
    assert not declare(preview, kind="keda", keda=KEDA).of_type(HPA)


def test_keda_moves_a_pool_as_the_hpa_does(preview: bool) -> None:
    """A change of kind would change how fast a pool shrinks."""
    spec = only(declare(preview, kind="keda", keda=KEDA).of_type(SCALED))
    expected = only(declare(preview).of_type(HPA))["behavior"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == expected


def test_keda_counts_the_jobs_of_the_pools_template_only(preview: bool) -> None:
    """One busy pool would start the workers of another."""
    (trigger,) = only(declare(preview, kind="keda", keda=KEDA).of_type(SCALED))["triggers"]
    assert trigger["type"] == "postgresql"
    assert trigger["metadata"]["query"] == QUERY.format(template="alpha-testing")
    assert set(re.findall(r"template = '([^']*)'", trigger["metadata"]["query"])) == {"alpha-testing"}
    assert int(trigger["metadata"]["targetQueryValue"]) == 4


def test_the_connection_comes_from_a_secret_in_the_targets_own_namespace(preview: bool) -> None:
    """A password in a trigger's metadata is readable by whoever may read the object."""
    found = declare(preview, kind="keda", keda=KEDA)
    (authentication,) = found.of_type(AUTHENTICATION)
    assert authentication.inputs["spec"]["secretTargetRef"] == [
        {"parameter": "connection", "name": "testing", "key": "FLEET_DATABASE_URL"}
    ]
    (trigger,) = only(found.of_type(SCALED))["triggers"]
    assert trigger["authenticationRef"]["name"] == authentication.inputs["metadata"]["name"]
    assert set(trigger["metadata"]) == {"query", "targetQueryValue", "activationTargetQueryValue"}
    assert authentication.inputs["metadata"]["namespace"] == found.of_type(SCALED)[0].inputs["metadata"]["namespace"]


def test_a_pool_that_can_be_empty_wakes_for_one_job(preview: bool) -> None:
    """One lone job would wait until others come."""
    spec = only(declare(preview, kind="keda", keda=KEDA, minimum=0).of_type(SCALED))
    assert spec["minReplicaCount"] == 0
    assert spec["triggers"][0]["metadata"]["activationTargetQueryValue"] == "0"


def test_a_database_that_is_away_takes_no_worker_away(preview: bool) -> None:
    """Its restart would end every pool's workers."""
    fallback = only(declare(preview, kind="keda", keda=KEDA, minimum=0).of_type(SCALED))["fallback"]
    assert fallback["behavior"] == "currentReplicasIfHigher"
    assert fallback["replicas"] >= 1


def test_sandboxes_are_scaled_in_their_own_namespace_and_grow_at_once(preview: bool) -> None:
    """Workers would be added that find no sandbox for their jobs."""
    sandboxes = {"namespace": "f-alpha-sandboxes", "deployment": "testing", "minimum": 2, "maximum": 50}
    hpas = declare(preview, sandboxes=sandboxes).of_type(HPA)
    keda = {**sandboxes, "database_secret": {"name": "jobs"}}
    scaled = declare(preview, kind="keda", keda=KEDA, sandboxes=keda).of_type(SCALED)
    behaviors = [
        each.inputs["spec"].get("behavior")
        or each.inputs["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        for each in (*hpas, *scaled)
        if each.inputs["metadata"]["namespace"] == "f-alpha-sandboxes"
    ]
    assert [each["scaleUp"]["stabilizationWindowSeconds"] for each in behaviors] == [0, 0]
    one = next(each for each in scaled if each.inputs["metadata"]["namespace"] == "f-alpha-sandboxes")
    assert one.inputs["spec"]["triggers"][0]["metadata"]["targetQueryValue"] == "1"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"minimum": 5, "maximum": 3}, "minimum is 5 and maximum is 3; the minimum is at most the maximum"),
        ({"minimum": 0}, "needs the kind 'keda'"),
        ({"minimum": -1, "kind": "keda", "keda": KEDA}, "minimum is -1; it is at least 0"),
        ({"minimum": 0, "maximum": 0, "kind": "keda", "keda": KEDA}, "maximum is 0; it is at least 1"),
        ({"kind": "vpa"}, "kind is 'vpa'; an autoscaler is one of: hpa, keda"),
        ({"kind": "keda"}, "keda is not given"),
        ({"kind": "keda", "keda": {**KEDA, "template": "x'; DROP TABLE jobs; --"}}, "keda.template is"),
        ({"kind": "keda", "keda": {**KEDA, "jobs_per_replica": 0}}, "keda.jobs_per_replica is 0"),
        ({"cpu_percent": 0}, "cpu_percent is 0"),
        (
            {"sandboxes": {"namespace": "n", "deployment": "d", "minimum": 9, "maximum": 2}},
            "sandboxes.minimum is 9 and sandboxes.maximum is 2",
        ),
    ],
)
def test_figures_that_contradict_themselves_are_refused_with_the_way_out(given: dict[str, Any], says: str) -> None:
    """The API server would refuse them after twenty minutes, or KEDA would not say anything at all."""
    with pytest.raises(ValueError, match=re.escape(says)):
        declare(True, **given)


@settings(deadline=None, max_examples=40)
@given(minimum=st.integers(-3, 60), maximum=st.integers(-3, 60), keda=st.booleans())
def test_bounds_are_accepted_just_when_a_pool_can_be_within_them(minimum: int, maximum: int, keda: bool) -> None:
    """A bound that is accepted and cannot be kept shows at the first load."""
    given: dict[str, Any] = {"kind": "keda", "keda": KEDA} if keda else {}
    possible = (0 if keda else 1) <= minimum <= maximum and maximum >= 1
    try:
        found = declare(False, minimum=minimum, maximum=maximum, **given)
    except ValueError:
        assert not possible
        return
    assert possible
    spec = only(found.of_type(SCALED if keda else HPA))
    names = ("minReplicaCount", "maxReplicaCount") if keda else ("minReplicas", "maxReplicas")
    assert (spec[names[0]], spec[names[1]]) == (minimum, maximum)
