"""Settings of clusters made at random: what is accepted can be deployed, and what is wrong is refused by name."""

import re
from typing import Any

import pytest
from cluster_stacks import declare_settings, eks, existing
from cluster_strategies import accepted_cluster
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stack_settings import read
from strategies import leaves, one_fault

from settings.problems import Path, SettingsError, key

# A fleet takes a second to declare, so what fails is not made smaller.
QUICK = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
_QUANTITY = re.compile(r"^(\d+)(m|Mi)$")


def amount(quantity: str) -> float:
    """Millicores or mebibytes."""
    found = _QUANTITY.match(quantity)
    assert found is not None, quantity
    return int(found[1])


@QUICK
@given(values=accepted_cluster())
def test_whatever_is_accepted_deploys_to_a_cluster(preview: bool, values: dict[str, Any]) -> None:
    """A combination that passes the checks would fail halfway through an update."""
    chosen = read(values)
    found = declare_settings(chosen, preview=preview)
    pools = [(team, name) for team, given in chosen.teams.items() for name in given.pools]
    declared = {each.name for each in found.of_type("agent-fleet:index:AgentPool")}
    assert declared == {f"{team}-{name}" for team, name in pools}
    for each in found.of_type("kubernetes:apps/v1:Deployment"):
        assert "spec" in each.inputs


@QUICK
@given(values=accepted_cluster())
def test_every_pod_fits_the_limits_and_the_quota_of_its_namespace(values: dict[str, Any]) -> None:
    """The API server would refuse the pod, and the pool would stay empty with no error in sight."""
    found = declare_settings(read(values), preview=False)
    hard = {
        each.inputs["metadata"]["namespace"]: each.inputs["spec"]["hard"]
        for each in found.of_type("kubernetes:core/v1:ResourceQuota")
    }
    bounds = {
        each.inputs["metadata"]["namespace"]: each.inputs["spec"]["limits"][0]
        for each in found.of_type("kubernetes:core/v1:LimitRange")
    }
    for each in found.of_type("kubernetes:apps/v1:Deployment"):
        namespace = each.inputs["metadata"]["namespace"]
        total = {"cpu": 0.0, "memory": 0.0}
        for container in each.inputs["spec"]["template"]["spec"]["containers"]:
            for kind in total:
                request = container["resources"]["requests"][kind]
                limit = container["resources"]["limits"][kind]
                assert amount(request) <= amount(limit)
                assert _within(request, limit, bounds[namespace], kind), (each.name, request, limit, bounds[namespace])
                total[kind] += amount(limit)
        for kind, needed in total.items():
            assert needed <= _normal(hard[namespace][f"limits.{kind}"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    fault=st.one_of(
        one_fault(existing(), dict(leaves("cluster", "existing"))), one_fault(eks(), dict(leaves("cluster", "eks")))
    )
)
def test_whatever_is_wrong_with_a_cluster_is_refused_with_its_path(fault: tuple[dict[str, Any], Path]) -> None:
    """A fault would be reported elsewhere, or be taken for its default."""
    values, path = fault
    with pytest.raises(SettingsError) as refused:
        read(values)
    assert any(
        problem.startswith(f"{key(path)}:") or problem.startswith(f"{key(path)}[") for problem in refused.value.problems
    ), refused.value.problems


def _within(request: str, limit: str, bounds: dict[str, Any], kind: str) -> bool:
    return _normal(bounds["min"][kind]) <= amount(request) and amount(limit) <= _normal(bounds["max"][kind])


def _normal(quantity: str) -> float:
    """`4` and `8Gi` in the units of the rest."""
    if quantity.endswith("Gi"):
        return float(quantity[:-2]) * 1_024
    return amount(quantity) if _QUANTITY.match(quantity) else float(quantity) * 1_000
