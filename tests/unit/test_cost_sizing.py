"""The shipped stacks priced as they are, and the right-sizing table of docs/cost.md held against them."""

from functools import cache

import pytest
from cost_plans import LATER, shipped
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as some

from engine.cost import document, sizing
from engine.cost.estimate import Estimate, estimate
from engine.cost.planned import Plan
from engine.cost.price_table import price_table, regional
from engine.cost.rules import IN_THE_CLUSTER, RULES, judge
from engine.cost.statement import brief, statement
from engine.standins.sdk_types import resource_type
from engine.standins.values import UNKNOWN

IN_AN_ACCOUNT = ("dev", "staging", "prod")


@pytest.mark.parametrize("stack", IN_AN_ACCOUNT)
def test_a_shipped_stack_has_a_price_for_every_type_that_it_makes(stack: str) -> None:
    """Prevents a preview that leaves out what somebody added to a stack without a price."""
    found = estimate(shipped(stack))
    assert not [each for each in found.not_estimated if "does not have this type" in each.why]
    assert 0 < found.usd_at_rest <= found.usd_at_most
    assert found.jobs is not None
    assert found.jobs.fit_at_rest > 0


@pytest.mark.parametrize("stack", ["local", "local-cluster"])
def test_a_stack_without_an_account_says_that_it_costs_nothing_there(stack: str) -> None:
    """Prevents a newcomer who wonders what the first command may cost."""
    found = estimate(shipped(stack))
    assert list(statement(found)) == [brief(found)]
    assert "costs nothing there" in brief(found)


def test_the_statement_has_every_part_and_its_grounds() -> None:
    """Prevents a sum whose parts nobody can check."""
    found = estimate(shipped("prod"))
    text = "\n".join(statement(found))
    for each in found.parts:
        assert each.what in text
    for words in ("at rest", "at most", "in all", "per thousand jobs", "assumed: ", "docs/cost.md", "eu-west-1"):
        assert words in text
    assert LATER not in text
    assert max(len(line) for line in text.splitlines()) <= 130


@cache
def _whole_estimate() -> Estimate:
    return estimate(shipped("prod"))


@limits(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(some.data())
def test_an_input_that_becomes_unknown_never_makes_a_stack_cheaper_in_silence(data: some.DataObject) -> None:
    """Prevents a preview on an empty account from showing less than the same preview afterwards."""
    whole = shipped("prod")
    prices, before = regional(whole.region), _whole_estimate()
    priced = [
        each
        for each in whole.resources.values()
        if judge(each, whole, prices, own_cluster=True).charges and each.inputs
    ]
    chosen = data.draw(some.sampled_from(priced))
    hidden = data.draw(some.sampled_from(sorted(chosen.inputs)))
    without = type(chosen)(chosen.type, chosen.name, {**chosen.inputs, hidden: UNKNOWN}, chosen.urn, chosen.parent)
    after = estimate(Plan({**whole.resources, chosen.urn: without}, whole.region))
    less = after.usd_at_rest < before.usd_at_rest - 0.005
    assert (
        not less
        or set(after.not_estimated) != set(before.not_estimated)
        or set(after.assumptions) > set(before.assumptions)
    ), f"{chosen.type} {chosen.name} without {hidden}"


def test_every_priced_type_is_one_of_the_providers() -> None:
    """Prevents a rule that never applies because its type is misspelt."""
    for kind in (*RULES, *(each for each in IN_THE_CLUSTER if "karpenter" not in each)):
        assert resource_type(kind) is not None, kind


def test_the_document_is_what_the_price_table_says() -> None:
    """Prevents a page of prices that nobody brought up to date."""
    assert not document.stale(), "run make cost-reference"


def test_the_sized_cluster_costs_what_the_shipped_one_does() -> None:
    """Prevents a right-sizing table of shapes that no stack has: all but the nodes for sandboxes is within a tenth."""

    def without_sandboxes(plan: Plan) -> float:
        kept = {
            urn: each
            for urn, each in plan.resources.items()
            if not (each.type == "aws:eks/nodeGroup:NodeGroup" and each.text("labels", "agent-fleet.io/untrusted"))
        }
        return estimate(Plan(kept, plan.region)).usd_at_rest

    drawn = sizing.cluster(1, "eu-west-1")
    kept = drawn.estimate.usd_at_rest - sizing.FLOOR * _node_with_disk()
    assert kept == pytest.approx(without_sandboxes(shipped("prod")), rel=0.1)


@pytest.mark.parametrize(("stack", "architecture"), [("dev", "vm"), ("staging", "queue")])
def test_the_sized_hosts_cost_what_the_shipped_stacks_do(stack: str, architecture: str) -> None:
    """Prevents the same of the other two, whose smallest sizes are what the stacks have at rest."""
    drawn = sizing.ARCHITECTURES[architecture](1, "eu-west-1")
    assert drawn is not None
    assert drawn.estimate.usd_at_rest == pytest.approx(estimate(shipped(stack)).usd_at_rest, rel=0.1)


def _node_with_disk() -> float:
    prices = regional("eu-west-1")
    node = prices.instance("m7i.2xlarge")
    assert node is not None
    return node.usd * prices.hours + 50 * prices.unit("volume_gibibyte_month_gp3") + 2.10


def test_more_load_never_costs_less() -> None:
    """Prevents a table whose rows contradict each other."""
    for draw in sizing.ARCHITECTURES.values():
        costs = [each.estimate.usd_at_rest for load in sizing.LOADS if (each := draw(load, "eu-west-1")) is not None]
        assert costs == sorted(costs)


def test_the_price_table_names_a_source_for_every_price() -> None:
    """Prevents prices of which nobody knows where they are from."""
    table = price_table()
    assert all(table.sources[each.source].what for each in table.prices.values())
    assert table.region in table.regions.by_name
