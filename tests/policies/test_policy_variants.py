"""Clusters with settings made at random keep every rule that does not depend on what a team's own cluster has."""

from typing import Any

import pytest
from analyzer_process import ADVISORY, Pack
from cluster_stacks import ADMINISTRATOR, declare_settings
from cluster_strategies import accepted_cluster
from hypothesis import HealthCheck, Phase, given, settings
from shipped_stacks import CONFIGURATION, as_given
from stack_settings import read

# What the tests' settings name in place of this project's registry and administrator.
CONFIGURED: dict[str, Any] = {
    **CONFIGURATION,
    "pod-image-digest": {"registries": ["registry.test/agent-fleet/"]},
    "eks-listed-admins": {"principals": [ADMINISTRATOR]},
    "eks-version": {"versions": ["1.34", "1.35", "1.36"]},
    # Whether there is a sandboxed runtime, nodes apart and a class that can be shared, these settings leave open.
    "pod-untrusted": "advisory",
    "workspace-claims": "advisory",
}
# A fleet takes a second to declare, so what fails is not made smaller.
QUICK = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def _keeps_every_rule(pack: Pack, values: dict[str, Any]) -> None:
    pack.configure(CONFIGURED)
    declared = [as_given(each) for each in declare_settings(read(values), preview=True).resources]
    assert [each for each in pack.judge(declared) if each.level != ADVISORY] == []


@QUICK
@given(values=accepted_cluster())
def test_whatever_is_accepted_keeps_every_rule(pack: Pack, values: dict[str, Any]) -> None:
    """A team's first change of a setting would fail under policies that the shipped stacks keep."""
    _keeps_every_rule(pack, values)


@pytest.mark.soak
@pytest.mark.timeout(900)
@settings(QUICK, max_examples=50)
@given(values=accepted_cluster())
def test_fifty_variants_keep_every_rule(pack: Pack, values: dict[str, Any]) -> None:
    """The same, at length."""
    _keeps_every_rule(pack, values)
