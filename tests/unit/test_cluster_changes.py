"""What changes in a cluster when its settings do: a pool brings its own resources, and takes them along."""

from collections.abc import Mapping
from typing import Any

import pytest
from cluster_stacks import declare, eks, existing, pools
from recording import Declared

FLEET = "agent-fleet-test"
Key = tuple[str, str, str]


def by_urn(given: dict[str, Any]) -> dict[Key, Declared]:
    """Every resource with what tells it apart in the state."""
    return {(each.parent, each.type, each.name): each for each in declare(given, preview=False).resources}


def changed(before: Mapping[Key, Declared], after: Mapping[Key, Declared]) -> set[tuple[str, str]]:
    """The resources that both have, with other inputs."""
    return {
        (key[1], key[2])
        for key in before.keys() & after.keys()
        if before[key].inputs != after[key].inputs and not key[1].startswith("agent-fleet:")
    }


@pytest.mark.parametrize("stack", [existing, eks], ids=["existing", "eks"])
def test_a_pool_that_is_added_brings_exactly_its_own_resources(stack: Any) -> None:
    """Other pools would roll, and jobs with them, whenever a team gets another agent type."""
    platform = {"istio": "exists", "gateway_api": "exists"}
    before = by_urn(stack(teams={"beta": pools("testing")}, platform=platform))
    after = by_urn(stack(teams={"alpha": pools("testing", "security"), "beta": pools("testing")}, platform=platform))
    assert before.keys() <= after.keys()
    added = after.keys() - before.keys()
    assert added
    for parent, kind, name in added:
        assert "alpha-security" in name or "alpha-security" in parent, (kind, name)
    # What lists all pools, and what is sized by them.
    assert changed(before, after) <= {
        ("kubernetes:core/v1:ConfigMap", f"{FLEET}-api"),
        ("kubernetes:apps/v1:Deployment", f"{FLEET}-api"),
        ("kubernetes:core/v1:ResourceQuota", f"{FLEET}-alpha-quota"),
        ("kubernetes:core/v1:ResourceQuota", f"{FLEET}-alpha-sandboxes-quota"),
        ("kubernetes:networking.istio.io/v1:VirtualService", f"{FLEET}-alpha"),
    }


def test_a_team_that_is_removed_takes_its_own_resources_along_and_no_other(preview: bool) -> None:
    """A tenant's leaving would touch another."""
    both = by_urn(existing(teams={"alpha": pools("testing"), "beta": pools("testing")}))
    one = by_urn(existing(teams={"alpha": pools("testing")}))
    assert one.keys() <= both.keys()
    for parent, _, name in both.keys() - one.keys():
        assert "beta" in name or "beta" in parent
    assert all("beta" not in name and "alpha" not in name for _, name in changed(one, both))


def test_the_order_of_teams_and_pools_in_the_file_changes_nothing() -> None:
    """Sorting a stack's file would roll every pod."""
    teams = {"beta": pools("testing", "security"), "alpha": pools("testing", "documentation")}
    turned = {name: pools(*reversed(list(teams[name]["pools"]))) for name in reversed(list(teams))}
    one, other = existing(), existing()
    one["teams"], other["teams"] = teams, turned
    assert changed(by_urn(one), by_urn(other)) == set()


def test_a_changed_agent_type_changes_only_its_own_pools() -> None:
    """One type's tuning would restart all others."""
    teams = {"alpha": pools("testing", "security")}
    before = by_urn(existing(teams=teams))
    after = by_urn(existing(teams=teams, agent_types={"security": {"limits": {"cpus": 1}}}))
    assert before.keys() == after.keys()
    assert changed(before, after) <= {
        ("kubernetes:apps/v1:Deployment", "alpha-security"),
        ("kubernetes:core/v1:ResourceQuota", f"{FLEET}-alpha-quota"),
    }
