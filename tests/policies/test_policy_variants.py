"""Settings made at random, of every architecture, keep every rule that does not depend on what a team itself has."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from analyzer_process import ADVISORY, Given, Pack
from cluster_stacks import ADMINISTRATOR, declare_settings
from cluster_strategies import accepted_cluster
from host_strategies import accepted_host, accepted_queue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from shipped_stacks import CONFIGURATION, as_given, declared
from stack_settings import read
from strategies import accepted

# What the tests' settings name in place of this project's registry and administrator.
CONFIGURED: dict[str, Any] = {
    **CONFIGURATION,
    "pod-image-digest": {"registries": ["registry.test/agent-fleet/"]},
    "eks-listed-admins": {"principals": [ADMINISTRATOR]},
    "eks-version": {"versions": ["1.34", "1.35", "1.36"]},
    # Whether there is a sandboxed runtime, nodes apart and a class that can be shared, these settings leave open, and
    # which stack of an account declares the scanning of its whole registry.
    "ecr-registry-scanning": "advisory",
    "pod-untrusted": "advisory",
    "workspace-claims": "advisory",
}
VARIANTS: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "vm on Docker": accepted(),
    "vm on EC2": accepted_host(),
    "queue": accepted_queue(),
    "cluster that exists": accepted_cluster("existing"),
    "cluster on EKS": accepted_cluster("eks"),
}
# A fleet takes a second to declare, so what fails is not made smaller.
QUICK = settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
LONG = settings(QUICK, max_examples=10)


def _cluster(values: dict[str, Any], preview: bool) -> list[Given]:
    return [as_given(each) for each in declare_settings(read(values), preview=preview).resources]


def _hosts(values: dict[str, Any], preview: bool) -> list[Given]:
    return list(declared("test", values, preview=preview))


def _keeps_every_rule(pack: Pack, architecture: str, data: st.DataObject) -> None:
    declare: Callable[[dict[str, Any], bool], list[Given]] = _cluster if "cluster" in architecture else _hosts
    values = data.draw(VARIANTS[architecture])
    pack.configure(CONFIGURED)
    for preview in (True, False):
        resources = declare(values, preview)
        assert len(resources) > 10, "a judgement over nothing passes"
        assert [each for each in pack.judge(resources) if each.level != ADVISORY] == []


@pytest.mark.parametrize("architecture", VARIANTS)
@QUICK
@given(data=st.data())
def test_whatever_is_accepted_keeps_every_rule(pack: Pack, architecture: str, data: st.DataObject) -> None:
    """A team's first change of a setting would fail under policies that the shipped stacks keep."""
    _keeps_every_rule(pack, architecture, data)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("architecture", VARIANTS)
@LONG
@given(data=st.data())
def test_ten_variants_of_each_architecture_keep_every_rule(pack: Pack, architecture: str, data: st.DataObject) -> None:
    """The same, at length: fifty together."""
    _keeps_every_rule(pack, architecture, data)
