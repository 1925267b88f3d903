"""What tenants may use, and what they have used. Claims (store/claim_statement.py) are what keeps to it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from fleet_runtime.config import TenantBudget
from fleet_runtime.database import Database
from fleet_runtime.store.claim_statement import FULL_AT, TODAY

# Hops from template to template along the index, so that a tenant's queued jobs are counted by the index alone.
_USAGE: LiteralString = f"""
WITH RECURSIVE queues(template) AS (
    (SELECT template FROM jobs WHERE status = 'queued' ORDER BY template LIMIT 1)
    UNION ALL
    SELECT (SELECT next.template FROM jobs AS next
            WHERE next.status = 'queued' AND next.template > queues.template
            ORDER BY next.template LIMIT 1)
    FROM queues WHERE queues.template IS NOT NULL
)
SELECT tenants.name AS tenant, budget.max_concurrent, budget.jobs_per_minute, budget.jobs_per_day,
       budget.cpu_seconds_per_day, coalesce(budget.listed, false) AS listed,
       used.jobs AS jobs_today, used.cpu_seconds AS cpu_seconds_today,
       (SELECT count(*) FROM jobs WHERE status = 'running' AND jobs.tenant = tenants.name) AS running,
       (SELECT count(*) FROM queues JOIN jobs ON jobs.template = queues.template
        WHERE jobs.status = 'queued' AND jobs.tenant = tenants.name) AS queued,
       coalesce(greatest(0, extract(epoch FROM {FULL_AT} - now())::float8 + 60.0 / budget.jobs_per_minute - 60), 0)
           AS next_start_seconds,
       now() AS asked_at,
       ({TODAY} + 1)::timestamp AT TIME ZONE 'UTC' AS resets_at
FROM tenants
LEFT JOIN tenant_budgets AS budget ON budget.tenant = tenants.name
CROSS JOIN LATERAL (
    SELECT coalesce(sum(jobs), 0)::bigint AS jobs, coalesce(sum(cpu_ms), 0) / 1000 AS cpu_seconds FROM tenant_usage
    WHERE tenant_usage.tenant = tenants.name AND day = {TODAY}
) AS used
WHERE %(tenant)s::text IS NULL OR tenants.name = %(tenant)s
ORDER BY tenants.name
"""  # noqa: S608 - literals only

_SET = """
INSERT INTO tenant_budgets (tenant, max_concurrent, jobs_per_minute, jobs_per_day, cpu_seconds_per_day)
SELECT name, %(max_concurrent)s, %(jobs_per_minute)s, %(jobs_per_day)s, %(cpu_seconds_per_day)s
FROM tenants WHERE name = %(tenant)s
ON CONFLICT (tenant) DO UPDATE SET
    max_concurrent = CASE WHEN 'max_concurrent' = ANY (%(given)s::text[])
        THEN excluded.max_concurrent ELSE tenant_budgets.max_concurrent END,
    jobs_per_minute = CASE WHEN 'jobs_per_minute' = ANY (%(given)s::text[])
        THEN excluded.jobs_per_minute ELSE tenant_budgets.jobs_per_minute END,
    jobs_per_day = CASE WHEN 'jobs_per_day' = ANY (%(given)s::text[])
        THEN excluded.jobs_per_day ELSE tenant_budgets.jobs_per_day END,
    cpu_seconds_per_day = CASE WHEN 'cpu_seconds_per_day' = ANY (%(given)s::text[])
        THEN excluded.cpu_seconds_per_day ELSE tenant_budgets.cpu_seconds_per_day END
WHERE NOT tenant_budgets.listed
RETURNING tenant
"""

_SYNCHRONISE = """
WITH given AS (
    SELECT * FROM unnest(%(tenants)s::text[], %(max_concurrent)s::int[], %(jobs_per_minute)s::int[],
                         %(jobs_per_day)s::int[], %(cpu_seconds_per_day)s::int[])
        AS given(tenant, max_concurrent, jobs_per_minute, jobs_per_day, cpu_seconds_per_day)
), new_tenants AS (
    INSERT INTO tenants (name) SELECT tenant FROM given ON CONFLICT DO NOTHING
), unlisted AS (
    UPDATE tenant_budgets SET listed = false, max_concurrent = NULL, jobs_per_minute = NULL, jobs_per_day = NULL,
        cpu_seconds_per_day = NULL
    WHERE listed AND tenant NOT IN (SELECT tenant FROM given)
)
INSERT INTO tenant_budgets AS budget
    (tenant, max_concurrent, jobs_per_minute, jobs_per_day, cpu_seconds_per_day, listed)
SELECT tenant, max_concurrent, jobs_per_minute, jobs_per_day, cpu_seconds_per_day, true FROM given ORDER BY tenant
ON CONFLICT (tenant) DO UPDATE SET
    max_concurrent = excluded.max_concurrent, jobs_per_minute = excluded.jobs_per_minute,
    jobs_per_day = excluded.jobs_per_day, cpu_seconds_per_day = excluded.cpu_seconds_per_day, listed = true
WHERE NOT budget.listed
   OR (budget.max_concurrent, budget.jobs_per_minute, budget.jobs_per_day, budget.cpu_seconds_per_day)
      IS DISTINCT FROM
      (excluded.max_concurrent, excluded.jobs_per_minute, excluded.jobs_per_day, excluded.cpu_seconds_per_day)
"""

LIMITS = ("max_concurrent", "jobs_per_minute", "jobs_per_day", "cpu_seconds_per_day")
"""The limits that a tenant may have, as columns and in the order in which they are shown."""


@dataclass(frozen=True)
class TenantUsage:
    """A tenant's limits (None is none) and what it uses. A day is one of UTC, on the database's clock."""

    tenant: str
    max_concurrent: int | None
    jobs_per_minute: int | None
    jobs_per_day: int | None
    cpu_seconds_per_day: int | None
    listed: bool
    jobs_today: int
    cpu_seconds_today: float
    running: int
    queued: int
    next_start_seconds: float
    """Until `jobs_per_minute` lets the next job begin; 0 if now."""
    asked_at: datetime
    resets_at: datetime
    """When the day's budgets begin anew."""

    @property
    def exhausted(self) -> list[str]:
        """The limits that keep a job of this tenant from beginning now."""
        reached = {
            "max_concurrent": self.max_concurrent is not None and self.running >= self.max_concurrent,
            "jobs_per_minute": self.next_start_seconds > 0,
            "jobs_per_day": self.jobs_per_day is not None and self.jobs_today >= self.jobs_per_day,
            "cpu_seconds_per_day": self.cpu_seconds_per_day is not None
            and self.cpu_seconds_today >= self.cpu_seconds_per_day,
        }
        return [name for name in LIMITS if reached[name]]

    @property
    def frees_in_seconds(self) -> int | None:
        """Until time alone lets a queued job begin; None if that is now, or depends on other jobs ending."""
        exhausted = self.exhausted
        if "jobs_per_day" in exhausted or "cpu_seconds_per_day" in exhausted:
            return max(1, math.ceil((self.resets_at - self.asked_at).total_seconds()))
        return math.ceil(self.next_start_seconds) if "jobs_per_minute" in exhausted else None


class Budgets:
    """The part of the store that says what tenants may use."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def usage(self, tenant: str) -> TenantUsage | None:
        """Return a tenant's limits and use; None if there is no such tenant."""
        found = await self._database.rows(TenantUsage, _USAGE, {"tenant": tenant})
        return found[0] if found else None

    async def all(self) -> list[TenantUsage]:
        """Return every tenant's limits and use, by name."""
        return await self._database.rows(TenantUsage, _USAGE, {"tenant": None})

    async def set(self, tenant: str, limits: Mapping[str, int | None]) -> bool:
        """Change some of a tenant's limits, by the names in LIMITS; the next claim keeps to them.

        Returns whether that could be done: not for a tenant that is unknown, or whose limits the deployment lists.
        """
        parameters: dict[str, Any] = {name: limits.get(name) for name in LIMITS}
        changed = await self._database.tuples(_SET, {**parameters, "tenant": tenant, "given": list(limits)})
        return bool(changed)

    async def synchronise(self, budgets: Sequence[TenantBudget]) -> None:
        """Make these the deployment's own: each named tenant has exactly these limits, and nobody else may set them.

        A tenant that the deployment named before and names no longer has no limits until an operator sets some.
        """
        parameters: dict[str, Any] = {name: [getattr(budget, name) for budget in budgets] for name in LIMITS}
        await self._database.tuples(_SYNCHRONISE, {**parameters, "tenants": [budget.tenant for budget in budgets]})
