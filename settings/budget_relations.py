"""What tenants' budgets mean beside the limits of the whole fleet."""

from collections.abc import Iterator

from settings.budget_model import Budget
from settings.model import Settings
from settings.violation import Violation


def budget_violations(settings: Settings) -> Iterator[Violation]:
    """A limit that could never act, so that whoever relies on it is mistaken."""
    limit = settings.limits.max_concurrent_agents
    for path, budget in _budgets(settings):
        if budget.max_concurrent is not None and budget.max_concurrent > limit:
            yield Violation(
                f"{path}.max_concurrent",
                f"given {budget.max_concurrent}; the whole fleet runs at most fleet.limits.max_concurrent_agents = "
                f"{limit} jobs at once: lower the first or raise the second",
                ("limits.max_concurrent_agents",),
            )
        if (
            budget.jobs_per_day is not None
            and budget.jobs_per_minute is not None
            and budget.jobs_per_minute > budget.jobs_per_day
        ):
            yield Violation(
                f"{path}.jobs_per_minute",
                f"given {budget.jobs_per_minute}; fleet.{path}.jobs_per_day is {budget.jobs_per_day} and is used up "
                "before: lower the first or raise the second",
                (f"{path}.jobs_per_day",),
            )


def _budgets(settings: Settings) -> Iterator[tuple[str, Budget]]:
    for tenant, budget in settings.tenants.items():
        yield f"tenants.{tenant}", budget
    for name, team in settings.teams.items():
        if team.budget is not None:
            yield f"teams.{name}.budget", team.budget
