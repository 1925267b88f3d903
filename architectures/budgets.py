"""Tenants' budgets, as settings have them and as the API's components take them."""

from collections.abc import Mapping

from agent_fleet import TenantBudgetArgs

from settings.budget_model import Budget


def budget_args(budgets: Mapping[str, Budget | None]) -> list[TenantBudgetArgs]:
    """The budgets of those tenants that have one."""
    given: list[TenantBudgetArgs] = []
    for tenant, budget in budgets.items():
        if budget is None:
            continue
        args: TenantBudgetArgs = {"tenant": tenant}
        if budget.max_concurrent is not None:
            args["max_concurrent"] = budget.max_concurrent
        if budget.jobs_per_minute is not None:
            args["jobs_per_minute"] = budget.jobs_per_minute
        if budget.jobs_per_day is not None:
            args["jobs_per_day"] = budget.jobs_per_day
        if budget.cpu_seconds_per_day is not None:
            args["cpu_seconds_per_day"] = budget.cpu_seconds_per_day
        given.append(args)
    return given
