"""Sandboxes that the cluster's agent-sandbox keeps: what is declared in place of a Deployment, and nothing looser."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from agent_fleet.kubernetes.sandbox_warm_pool import undisturbed, waiting
from cluster_stacks import declare, eks, existing, pools
from fleet_runtime.sandboxd.agent_sandbox_claim import describe_claim
from fleet_runtime.sandboxd.kubernetes_config import KubernetesSettings
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_fleet import configuration, named, of_kind
from recording import Recording
from test_kubernetes_pools import GIVEN_BY_KUBERNETES, pool

from settings.capacity import pods


@pytest.fixture
def kept(preview: bool) -> Recording:
    """A pool whose sandboxes agent-sandbox keeps."""
    return pool(preview=preview, agent_sandbox=True, sandbox_replicas=10)


@pytest.fixture
def usual(preview: bool) -> Recording:
    """The same pool with a Deployment of sandboxes."""
    return pool(preview=preview, sandbox_replicas=10)


def only(recording: Recording, kind: str) -> Mapping[str, Any]:
    """The one object of a kind."""
    (found,) = of_kind(recording, kind)
    return found.inputs


def sandbox_deployments(recording: Recording) -> list[Mapping[str, Any]]:
    """Every Deployment of sandboxes."""
    labelled = (each.inputs for each in of_kind(recording, "Deployment"))
    return [each for each in labelled if each["metadata"]["labels"]["agent-fleet.role"] == "sandbox"]


def test_a_warm_pool_takes_the_place_of_the_deployment(kept: Recording, usual: Recording) -> None:
    """Both together would hold twice the pods, half of them claimed by nobody."""
    assert not sandbox_deployments(kept)
    assert len(sandbox_deployments(usual)) == 1
    assert not of_kind(usual, "SandboxWarmPool") + of_kind(usual, "SandboxTemplate")
    template, warm_pool = only(kept, "SandboxTemplate"), only(kept, "SandboxWarmPool")
    assert {template["apiVersion"], warm_pool["apiVersion"]} == {"extensions.agents.x-k8s.io/v1beta1"}
    assert warm_pool["spec"]["sandboxTemplateRef"] == {"name": template["metadata"]["name"]}
    assert template["metadata"]["namespace"] == warm_pool["metadata"]["namespace"]


def test_its_pods_are_the_deployments_pods_and_never_come_up_again(kept: Recording, usual: Recording) -> None:
    """A posture that is written twice is one day written once; a restarted container finds what the last one left."""
    (deployment,) = sandbox_deployments(usual)
    template = only(kept, "SandboxTemplate")["spec"]["podTemplate"]
    assert template["spec"].pop("restartPolicy") == "Never"
    assert template["spec"] == deployment["spec"]["template"]["spec"]
    assert template["metadata"]["labels"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_agent_sandbox_opens_no_network_and_lets_no_claim_change_a_pod(kept: Recording, usual: Recording) -> None:
    """Its own policy allows the public internet, and policies add up: it would undo the denial of the namespace."""
    spec = only(kept, "SandboxTemplate")["spec"]
    assert spec["networkPolicyManagement"] == "Unmanaged"
    assert "networkPolicy" not in spec
    assert spec["envVarsInjectionPolicy"] == spec["volumeClaimTemplatesPolicy"] == "Disallowed"
    assert spec["service"] is False
    policies = [[each.inputs for each in of_kind(recording, "NetworkPolicy")] for recording in (kept, usual)]
    assert policies[0] == policies[1]


def test_a_worker_may_claim_and_attach_but_change_and_delete_no_pod(kept: Recording) -> None:
    """The right to change pods is the right to change what runs in them."""
    role = only(kept, "Role")
    allowed = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert allowed == {
        *(("sandboxclaims", verb) for verb in ("create", "get", "list", "watch", "delete")),
        ("sandboxes", "get"),
        *(("pods", verb) for verb in ("get", "list", "watch")),
        ("pods/attach", "create"),
        ("pods/attach", "get"),
    }


def test_the_worker_is_told_the_pool_that_is_declared(preview: bool) -> None:
    """It would claim from a pool that is not there."""
    if preview:
        return
    recording = pool(agent_sandbox=True)
    deployment = named(recording, "Deployment", "agent-fleet-test-alpha", "testing")
    with pytest.MonkeyPatch.context() as patched:
        told = {**configuration(recording, deployment, "worker"), **GIVEN_BY_KUBERNETES}
        for name, value in told.items():
            patched.setenv(name, value)
        settings = KubernetesSettings()  # pyright: ignore[reportCallIssue] - from the environment
    warm_pool = only(recording, "SandboxWarmPool")["metadata"]
    assert (settings.sandbox_namespace, settings.agent_sandbox) == (warm_pool["namespace"], warm_pool["name"])
    labels = only(recording, "SandboxTemplate")["spec"]["podTemplate"]["metadata"]["labels"]
    selected = dict(each.split("=") for each in settings.sandbox_selector.split(","))
    assert selected.items() <= labels.items()


def test_a_worker_is_told_of_no_warm_pool_where_there_is_none(usual: Recording) -> None:
    """A worker that claims what nobody answers runs nothing."""
    assert "FLEET_AGENT_SANDBOX" not in json.dumps([each.inputs for each in of_kind(usual, "ConfigMap")], default=str)


@given(st.integers(0, 10_000))
def test_what_waits_and_all_that_may_be_claimed_fit_the_quota_of_a_deployment(sandboxes: int) -> None:
    """Claims beyond the quota are refused though the settings promise so many."""
    assert sandboxes + waiting(sandboxes) <= pods(sandboxes)
    assert waiting(sandboxes) >= min(sandboxes, 1)


@given(st.integers(0, 10_000))
def test_an_eviction_is_always_possible_while_the_pool_is_full(sandboxes: int) -> None:
    """A node with a budget that leaves none can never be drained."""
    assert 0 <= undisturbed(sandboxes) < max(waiting(sandboxes), 1)


def test_the_disruption_budget_is_a_number(kept: Recording, preview: bool) -> None:
    """A share needs a scale, which a Sandbox lacks: Kubernetes then forbids every eviction."""
    budgets = [each.inputs for each in of_kind(kept, "PodDisruptionBudget")]
    (budget,) = [each for each in budgets if each["metadata"]["labels"]["agent-fleet.role"] == "sandbox"]
    assert "maxUnavailable" not in budget["spec"]
    if not preview:
        assert budget["spec"]["minAvailable"] == undisturbed(10)


@pytest.mark.parametrize("target", [existing, eks])
def test_the_setting_reaches_every_pool(target: Any, preview: bool) -> None:
    """A pool that is forgotten has a Deployment and rights that the others lost."""
    teams = {"alpha": pools("testing", "security"), "beta": pools("testing")}
    recording = declare(target(teams=teams, platform={"agent_sandbox": "exists"}), preview=preview)
    assert len(of_kind(recording, "SandboxWarmPool")) == len(of_kind(recording, "SandboxTemplate")) == 3
    assert not sandbox_deployments(recording)
    off = declare(target(teams=teams), preview=preview)
    assert not of_kind(off, "SandboxWarmPool")
    assert len(sandbox_deployments(off)) == 3


def test_a_claim_asks_for_what_upstream_allows() -> None:
    """A label of another domain, or a reserved annotation, and the claim is never bound."""
    spec = describe_claim("a", "testing", "agent-fleet.role=sandbox", "worker-1", datetime.now(UTC))["spec"]
    assert spec["warmPoolRef"] == {"name": "testing"}
    assert not spec.keys() & {"env", "volumeClaimTemplates"}
    given = spec["additionalPodMetadata"]
    assert not given.get("labels")
    reserved = ("kubernetes.io", "k8s.io", "agents.x-k8s.io")
    assert not any(key.partition("/")[0].endswith(reserved) for key in given["annotations"] if "/" in key)
