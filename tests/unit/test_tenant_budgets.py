"""Tenants' budgets from the settings to the API's environment."""

from cluster_stacks import declare, existing, pools
from fleet_runtime.config import ApiSettings, TenantBudget
from kubernetes_fleet import configuration, containers
from recording import Deploy
from test_runtime_agreement import read
from test_settings import one_problem, refused


def test_the_api_gets_the_budgets_of_the_settings_and_an_empty_list_without_any(deploy: Deploy, preview: bool) -> None:
    """Without the list, a budget that was taken out of the settings would stay for ever."""
    if preview:
        return
    given = deploy(tenants={"team-b": {"jobs_per_day": 100, "cpu_seconds_per_day": 60}, "a": {"max_concurrent": 2}})
    api = read(given, "api")
    assert isinstance(api, ApiSettings)
    assert api.tenant_budgets == (
        TenantBudget(tenant="a", max_concurrent=2),
        TenantBudget(tenant="team-b", jobs_per_day=100, cpu_seconds_per_day=60),
    )
    without = read(deploy(), "api")
    assert isinstance(without, ApiSettings)
    assert without.tenant_budgets == ()


def test_a_limit_that_could_never_act_is_refused() -> None:
    """Whoever relies on a limit that another one precedes is mistaken, and never told."""
    problem = one_problem(tenants={"a": {"max_concurrent": 50}})
    assert problem.startswith("fleet.tenants.a.max_concurrent: given 50; the whole fleet runs at most")
    problem = one_problem(tenants={"a": {"jobs_per_minute": 50, "jobs_per_day": 40}})
    assert "fleet.tenants.a.jobs_per_day is 40" in problem


def test_a_cluster_is_told_where_budgets_stand_there() -> None:
    """On a cluster a tenant is a team: a budget beside the teams would limit nobody."""
    (problem,) = refused(existing(tenants={"a": {"max_concurrent": 2}}))
    assert "use fleet.teams.<team>.budget instead" in problem


def test_a_teams_budget_reaches_the_fleets_api_and_no_pools(preview: bool) -> None:
    """A pool's own API that is told no budgets must not take those of the fleet's API away."""
    if preview:
        return
    found = declare(existing(teams={"alpha": {**pools("testing"), "budget": {"jobs_per_day": 9}}}), preview=False)
    told = [
        environment["FLEET_TENANT_BUDGETS"]
        for each in found.of_type("kubernetes:apps/v1:Deployment")
        for container in containers(each.inputs["spec"]["template"]["spec"])
        if "FLEET_TENANT_BUDGETS" in (environment := configuration(found, each, container))
    ]
    assert told == ['[{"tenant": "alpha", "jobs_per_day": 9}]']
