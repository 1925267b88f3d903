"""The platform's releases, under mocks: pinned, ordered, each optional, and with values of the charts' own keys."""

import re
from itertools import product
from typing import Any

import pytest
from agent_fleet.kubernetes.platform import CHOICES, Platform
from agent_fleet.versions import ISTIO_VERSION, KARPENTER_VERSION, KEDA_VERSION
from recording import Declared, Recording, record

RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
KARPENTER = {"cluster_name": "f", "interruption_queue": "f-interruptions"}
ALL = {"istio": "install", "keda": "install", "karpenter": "install", "karpenter_settings": KARPENTER}


def declare(preview: bool, **given: Any) -> Recording:
    """The platform of one cluster."""
    arguments: Any = given
    return record(lambda: Platform("platform", arguments).istio, preview=preview)


def releases(found: Recording) -> dict[str, Declared]:
    """The releases by their names."""
    return {each.inputs["name"]: each for each in found.of_type(RELEASE)}


def test_every_part_can_be_installed_exist_already_or_be_left_out(preview: bool) -> None:
    """A cluster that has Istio would get a second one."""
    expected = {
        "istio": {"istio-base", "istiod", "istio-cni", "ztunnel"},
        "keda": {"keda"},
        "karpenter": {"karpenter-crd", "karpenter"},
    }
    for istio, keda, karpenter in product(CHOICES, repeat=3):
        chosen = {"istio": istio, "keda": keda, "karpenter": karpenter}
        found = releases(declare(preview, **chosen, karpenter_settings=KARPENTER))
        assert set(found) == {name for part, names in expected.items() if chosen[part] == "install" for name in names}


def test_nothing_is_installed_unless_asked_for(preview: bool) -> None:
    """A platform team's cluster would be changed under it."""
    assert not declare(preview).of_type(RELEASE)
    assert not declare(preview, keda="exists").of_type(NAMESPACE)


def test_what_is_installed_finds_its_namespace_guarded(preview: bool) -> None:
    """A release before its namespace's quota and open traffic would be counted by nobody, or wait for ever."""
    found = declare(preview, **ALL)
    guards = ("core/v1:ResourceQuota", "core/v1:LimitRange", "networking.k8s.io/v1:NetworkPolicy")
    for namespace, first in (("istio-system", "istio-base"), ("keda", "keda")):
        inside = {
            kind: each
            for kind in guards
            for each in found.of_type(f"kubernetes:{kind}")
            if each.inputs["metadata"]["namespace"] == namespace
        }
        assert set(inside) == set(guards)
        (limits,) = inside["core/v1:LimitRange"].inputs["spec"]["limits"]
        # A limit by default would end what its chart gave none on purpose.
        assert set(limits) == {"type", "defaultRequest"}
        assert not [name for name in inside["core/v1:ResourceQuota"].inputs["spec"]["hard"] if "cpu" in name]
        assert {each.urn for each in inside.values()} <= set(releases(found)[first].dependency_urns)


def test_every_chart_has_the_version_that_one_file_names(preview: bool) -> None:
    """The same program would install something else next week."""
    for name, each in releases(declare(preview, **ALL)).items():
        expected = {"keda": KEDA_VERSION, "karpenter": KARPENTER_VERSION, "karpenter-crd": KARPENTER_VERSION}
        assert each.inputs["version"] == expected.get(name, ISTIO_VERSION)
        assert re.fullmatch(r"\d+\.\d+\.\d+", each.inputs["version"])


def test_a_release_that_fails_is_rolled_back_within_its_time(preview: bool) -> None:
    """A half-installed mesh would be left, which the next attempt refuses to touch."""
    for each in releases(declare(preview, **ALL, timeout_seconds=120)).values():
        assert each.inputs["atomic"] is True
        assert each.inputs["cleanupOnFail"] is True
        assert each.inputs["skipAwait"] is False
        assert each.inputs["timeout"] == 120


def test_definitions_come_before_what_uses_them(preview: bool) -> None:
    """A control plane without its definitions does not start."""
    found = releases(declare(preview, **ALL))
    for later, earlier in (
        ("istiod", "istio-base"),
        ("istio-cni", "istiod"),
        ("ztunnel", "istio-cni"),
        ("karpenter", "karpenter-crd"),
    ):
        assert found[earlier].name in found[later].dependencies
    assert found["karpenter"].inputs["skipCrds"] is True


def test_side_cars_need_no_ztunnel(preview: bool) -> None:
    """It would wait for ever for pods that are in no ambient mesh."""
    found = releases(declare(preview, istio="install", istio_settings={"mode": "istio-cni"}))
    assert set(found) == {"istio-base", "istiod", "istio-cni"}
    assert found["istiod"].inputs["values"]["cni"]["enabled"] is True
    assert found["istio-cni"].inputs["values"]["ambient"] == {"enabled": False}


def test_what_istio_starts_in_a_teams_namespace_has_a_seccomp_profile(preview: bool) -> None:
    """`restricted` would refuse every waypoint and every side-car."""
    values = releases(declare(preview, istio="install"))["istiod"].inputs["values"]
    expected = {"type": "RuntimeDefault"}
    assert values["gateways"]["seccompProfile"] == expected
    assert values["global"]["proxy"]["seccompProfile"] == expected


def test_karpenter_listens_for_interruptions(preview: bool) -> None:
    """Spot nodes would end with their jobs and no warning."""
    values = releases(declare(preview, **ALL))["karpenter"].inputs["values"]
    assert values["settings"]["interruptionQueue"] == "f-interruptions"
    assert values["serviceAccount"]["name"] == "karpenter"


def test_charts_can_come_from_a_mirror(preview: bool) -> None:
    """A cluster without the internet could install nothing."""
    mirror = "oci://registry.example/charts"
    found = releases(declare(preview, keda="install", keda_settings={"repository": mirror}))["keda"].inputs
    assert found["chart"] == f"{mirror}/keda"
    assert "repositoryOpts" not in found
    direct = releases(declare(preview, keda="install"))["keda"].inputs
    assert (direct["chart"], direct["repositoryOpts"]) == ("keda", {"repo": "https://kedacore.github.io/charts"})


def test_every_controller_has_bounded_memory_and_a_second_replica(preview: bool) -> None:
    """One node's loss would stop scaling, and a leak would take a node."""
    found = releases(declare(preview, **ALL))
    keda, karpenter = found["keda"].inputs["values"], found["karpenter"].inputs["values"]
    istiod = found["istiod"].inputs["values"]
    assert min(keda[part]["replicaCount"] for part in ("operator", "metricsServer", "webhooks")) == 2
    assert karpenter["replicas"] == istiod["autoscaleMin"] == 2
    for resources in (*keda["resources"].values(), karpenter["controller"]["resources"], istiod["resources"]):
        assert resources["limits"]["memory"]
        assert resources["requests"]["memory"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"istio": "yes"}, "istio is 'yes'; it is one of: install, exists, off"),
        ({"karpenter": "install"}, "karpenter_settings is not given"),
        ({"istio": "install", "istio_settings": {"mode": "sidecar"}}, "istio_settings.mode is 'sidecar'"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0; it is at least 1"),
    ],
)
def test_a_choice_that_is_none_is_refused_with_those_there_are(given: dict[str, Any], says: str) -> None:
    """A misspelt choice would install nothing, without a word."""
    with pytest.raises(ValueError, match=re.escape(says)):
        declare(True, **given)
