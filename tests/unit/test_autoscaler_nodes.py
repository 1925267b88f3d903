"""Karpenter's node pools, under mocks: what keeps jobs alive, strangers apart and the bill bounded."""

import re
from typing import Any

import pytest
from agent_fleet.kubernetes.node_autoscaler import DRAIN_MARGIN_SECONDS, NodeAutoscaler
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import Recording, record

CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
POOL = "kubernetes:karpenter.sh/v1:NodePool"
BASE = {
    "fleet": "f",
    "cluster_name": "f",
    "untrusted": True,
    "instance_profile": "f-karpenter-nodes",
    "subnet_ids": ["subnet-1", "subnet-2"],
    "security_group_ids": ["sg-1"],
}
UNTRUSTED = {"key": "agent-fleet.io/untrusted", "value": "true", "effect": "NoSchedule"}


def declare(preview: bool, **given: Any) -> Recording:
    """One kind of nodes."""
    arguments: Any = {**BASE, **given}
    return record(lambda: NodeAutoscaler("nodes", arguments).node_class, preview=preview)


def pools(found: Recording) -> list[dict[str, Any]]:
    """The specifications of the node pools."""
    return [dict(each.inputs["spec"]) for each in found.of_type(POOL)]


def node_class(found: Recording) -> dict[str, Any]:
    """The specification of the machines' class."""
    (one,) = found.of_type(CLASS)
    return dict(one.inputs["spec"])


def test_nodes_for_strangers_code_are_tainted_and_labelled(preview: bool) -> None:
    """The fleet's own programs would run beside strangers' code, or its sandboxes nowhere."""
    for spec in pools(declare(preview)):
        assert spec["template"]["spec"]["taints"] == [UNTRUSTED]
        assert spec["template"]["metadata"]["labels"] == {UNTRUSTED["key"]: UNTRUSTED["value"]}


def test_nodes_for_ones_own_programs_are_neither(preview: bool) -> None:
    """Nothing of the fleet's own could run on them."""
    for spec in pools(declare(preview, untrusted=False)):
        assert "taints" not in spec["template"]["spec"]
        assert "metadata" not in spec["template"]


def test_only_empty_nodes_are_consolidated_within_a_budget(preview: bool) -> None:
    """A node with a running job would be taken to save money."""
    for spec in pools(declare(preview)):
        disruption = spec["disruption"]
        assert disruption["consolidationPolicy"] == "WhenEmpty"
        assert {each["reasons"][0] for each in disruption["budgets"]} == {"Empty", "Drifted"}


def test_a_node_that_must_go_waits_for_the_longest_job(preview: bool) -> None:
    """Age and drift would end jobs that were promised more time."""
    for spec in pools(declare(preview, longest_job_seconds=7200)):
        assert spec["template"]["spec"]["terminationGracePeriod"] == f"{7200 + DRAIN_MARGIN_SECONDS}s"
        assert spec["template"]["spec"]["expireAfter"] == "168h"


def test_every_pool_is_bounded(preview: bool) -> None:
    """A loop that queues jobs would start nodes for ever."""
    found = pools(declare(preview))
    assert len(found) == 2
    for spec in found:
        assert int(spec["limits"]["cpu"]) > 0
        assert spec["limits"]["memory"].endswith("Gi")


def test_spot_is_tried_before_on_demand(preview: bool) -> None:
    """Sandboxes would run at full price while spot is to be had."""
    weights = {
        spec["template"]["spec"]["requirements"][0]["values"][0]: spec["weight"] for spec in pools(declare(preview))
    }
    assert weights["spot"] > weights["on-demand"]


def test_a_pod_cannot_reach_the_nodes_role(preview: bool) -> None:
    """Strangers' code would get the node's credentials."""
    options = node_class(declare(preview))["metadataOptions"]
    assert options["httpTokens"] == "required"
    assert options["httpPutResponseHopLimit"] == 1


def test_volumes_are_encrypted_with_the_given_key(preview: bool) -> None:
    """Images and scratch would lie on disks in the clear."""
    (mapping,) = node_class(declare(preview, kms_key_arn="arn:key"))["blockDeviceMappings"]
    assert mapping["ebs"]["encrypted"] is True
    assert mapping["ebs"]["kmsKeyID"] == "arn:key"


def test_pods_are_limited_in_processes_by_the_nodes_user_data(preview: bool) -> None:
    """One fork bomb would take the node's process table."""
    user_data = node_class(declare(preview, pod_pids_limit=321))["userData"]
    assert '"podPidsLimit": 321' in user_data
    assert "node.eks.aws/v1alpha1" in user_data


def test_every_pool_refers_to_the_class_that_is_declared_before_it(preview: bool) -> None:
    """Karpenter would have pools without machines."""
    found = declare(preview)
    (declared,) = found.of_type(CLASS)
    for each in found.of_type(POOL):
        assert each.inputs["spec"]["template"]["spec"]["nodeClassRef"] == {
            "group": "karpenter.k8s.aws",
            "kind": "EC2NodeClass",
            "name": declared.inputs["metadata"]["name"],
        }
        assert declared.name in each.dependencies


def test_the_instance_profile_is_given_and_none_is_to_be_made(preview: bool) -> None:
    """With a role in its place Karpenter would make a profile by IAM, which a private VPC cannot reach."""
    spec = node_class(declare(preview))
    assert spec["instanceProfile"] == "f-karpenter-nodes"
    assert "role" not in spec


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"image_alias": "al2023@latest"}, "image_alias is 'al2023@latest'"),
        (
            {"pools": [{"name": "a", "capacity": "cheap", "cpu_limit": 1, "memory_limit_gibibytes": 1}]},
            "the capacity of 'a' is 'cheap'; it is one of: on-demand, spot",
        ),
        (
            {"pools": [{"name": "a", "capacity": "spot", "cpu_limit": 0, "memory_limit_gibibytes": 1}]},
            "cpu_limit of 'a' is 0; it is at least 1",
        ),
    ],
)
def test_what_karpenter_would_refuse_is_refused_before(given: dict[str, Any], says: str) -> None:
    """It shows in Karpenter's own log only, and pods wait for nodes that never come."""
    with pytest.raises(ValueError, match=re.escape(says)):
        declare(True, **given)


@settings(deadline=None, max_examples=40)
@given(limits=st.lists(st.tuples(st.integers(-1, 500), st.integers(-1, 2000)), min_size=1, max_size=4))
def test_whatever_is_accepted_has_positive_limits(limits: list[tuple[int, int]]) -> None:
    """A limit of none would be no limit or no node."""
    given = [
        {"name": f"p{number}", "capacity": "spot", "cpu_limit": cpu, "memory_limit_gibibytes": memory}
        for number, (cpu, memory) in enumerate(limits)
    ]
    try:
        found = declare(False, pools=given)
    except ValueError:
        assert any(cpu < 1 or memory < 1 for cpu, memory in limits)
        return
    declared = {each.name: each.inputs["spec"]["limits"] for each in found.of_type(POOL)}
    assert declared == {
        f"nodes-p{number}": {"cpu": str(cpu), "memory": f"{memory}Gi"} for number, (cpu, memory) in enumerate(limits)
    }
