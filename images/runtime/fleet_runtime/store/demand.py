"""How many jobs there is work for now: what runs, and what waits and could begin if there were a place for it."""
# ruff: noqa: S608 - literals only, as the type checker sees to

from typing import LiteralString

from fleet_runtime.database import Database
from fleet_runtime.store.claim_statement import MINUTE_LEFT, TODAY

# As the claim judges it: null is no limit, and jobs that had begun before were paid for then.
_COULD_BEGIN: LiteralString = f"""
coalesce(sum(greatest(0, least(
    waiting.back + greatest(0, least(waiting.fresh,
        CASE WHEN used.cpu_ms >= budget.cpu_seconds_per_day * 1000.0 THEN 0
             ELSE least({MINUTE_LEFT}, budget.jobs_per_day - used.jobs) END)),
    budget.max_concurrent - running.jobs))), 0)::bigint"""
_COUNTS: LiteralString = "count(*) FILTER (WHERE attempt = 0) AS fresh, count(*) FILTER (WHERE attempt > 0) AS back"
_BUDGETS: LiteralString = f"""
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM jobs WHERE status = 'running' AND jobs.tenant = waiting.tenant
) AS running
LEFT JOIN tenant_budgets AS budget ON budget.tenant = waiting.tenant
LEFT JOIN LATERAL (
    SELECT coalesce(sum(jobs), 0)::bigint AS jobs, coalesce(sum(cpu_ms), 0) AS cpu_ms FROM tenant_usage
    WHERE tenant_usage.tenant = budget.tenant AND day = {TODAY}
      AND num_nonnulls(budget.jobs_per_day, budget.cpu_seconds_per_day) > 0
) AS used ON true"""

_DEMAND: LiteralString = f"""
SELECT (SELECT count(*) FROM jobs WHERE status = 'running') + {_COULD_BEGIN}
FROM (SELECT tenant, {_COUNTS} FROM jobs WHERE status = 'queued' GROUP BY tenant) AS waiting
{_BUDGETS}
"""

JOBS_TO_BEGIN: LiteralString = f"""
CREATE OR REPLACE VIEW jobs_to_begin AS
SELECT waiting.template, {_COULD_BEGIN} AS jobs
FROM (SELECT template, tenant, {_COUNTS} FROM jobs WHERE status = 'queued' GROUP BY template, tenant) AS waiting
{_BUDGETS}
GROUP BY waiting.template
"""
"""What waits and could begin in each template, for the autoscalers of its pool: they know nothing but SQL. A tenant's
last places count in each of its templates: any of them may have them. A migration makes it; one that changes this text
runs it again."""


async def demand(database: Database) -> int:
    """Return it for the whole fleet.

    A tenant's jobs beyond its budget are left out: more hosts would not have them begin.
    """
    ((jobs,),) = await database.tuples(_DEMAND, {})
    return int(jobs)
