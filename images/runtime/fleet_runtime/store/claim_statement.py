"""The statement that claims jobs: fair between tenants, and never past a tenant's budget, however many claim at once.

One statement, so one round trip and one commit. What it reads is as of one snapshot; only what it locks may be newer.
That is enough to be exact:

- `waiting` hops from tenant to tenant along the index: a tenant costs the same with one job queued as with many.
- `considered` is what the snapshot says of each of them: how many jobs it runs, how many more it may run (`room`) and
  how many more it may begin now (`fresh`; a job that had begun before and is back was paid for). Null is no limit.
- `heads` are the first of their queues, as far as that allows. A tenant's turn is its running jobs plus this one's
  place in its own queue, so that claiming several at once is as fair as one by one. The window is wider than the claim
  because another worker may be taking the same heads at this moment.
- `locked` are the budgets of the limited tenants among them. Who else claims for such a tenant waits here until this
  claim is committed. `claims` and `starts` in a locked row include what was committed since the snapshot, and so tell
  by how much the snapshot's figures are out of date. What ended since then still counts as running: the error is on
  the safe side, and the next claim has it.
- A workspace has one writer: its jobs stand in line for it in each template, and only the first of them is a head while
  nobody has it. Claims for two templates may still meet at one workspace; then the index `jobs_workspace_writer` fails
  the later one, which is tried again.
- `held` are limited tenants' heads that are still queued, locked in their turn; `allowed` are as many of them as the
  budgets permit.
"""
# ruff: noqa: S608 - literals only, as the type checker sees to

from typing import LiteralString

TODAY: LiteralString = "(now() AT TIME ZONE 'UTC')::date"

# A bucket of `jobs_per_minute` jobs that refills evenly, kept as the moment when it is full. A moment further away than
# a minute, and the longest that a statement may wait for a lock, is from before the clock was set back: then it is
# full.
FULL_AT: LiteralString = (
    "CASE WHEN budget.minute_full_at > now() + interval '2 minutes' THEN now()"
    " ELSE greatest(budget.minute_full_at, now()) END"
)
MINUTE_LEFT: LiteralString = (
    f"floor((60 - extract(epoch FROM {FULL_AT} - now())::float8) * budget.jobs_per_minute / 60 + 0.000001)::int"
)

_WAITING: LiteralString = """
WITH RECURSIVE waiting(tenant) AS (
    (SELECT tenant FROM jobs WHERE status = 'queued' AND template = %(template)s ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT next.tenant FROM jobs AS next
            WHERE next.status = 'queued' AND next.template = %(template)s AND next.tenant > waiting.tenant
            ORDER BY next.tenant LIMIT 1)
    FROM waiting WHERE waiting.tenant IS NOT NULL
)"""

_CONSIDERED: LiteralString = f"""
considered AS MATERIALIZED (
    SELECT waiting.tenant, running.jobs AS running, used.jobs AS begun, budget.claims, budget.starts,
           num_nonnulls(budget.max_concurrent, budget.jobs_per_minute, budget.jobs_per_day) > 0 AS limited,
           budget.max_concurrent - running.jobs AS room,
           CASE WHEN used.cpu_ms >= budget.cpu_seconds_per_day * 1000.0 THEN 0
                ELSE least({MINUTE_LEFT}, budget.jobs_per_day - used.jobs) END AS fresh
    FROM waiting
    CROSS JOIN LATERAL (
        SELECT count(*) AS jobs FROM jobs WHERE status = 'running' AND jobs.tenant = waiting.tenant
    ) AS running
    LEFT JOIN tenant_budgets AS budget ON budget.tenant = waiting.tenant
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(jobs), 0)::bigint AS jobs, coalesce(sum(cpu_ms), 0) AS cpu_ms FROM tenant_usage
        WHERE tenant_usage.tenant = budget.tenant AND day = {TODAY}
          AND num_nonnulls(budget.jobs_per_day, budget.cpu_seconds_per_day) > 0
    ) AS used ON true
    WHERE waiting.tenant IS NOT NULL
)"""

# A job with a workspace waits while another one has it, and for those before it: one look at an index for each. A
# subquery with a limit cannot be turned into a hash of all jobs with workspaces.
_FREE: LiteralString = """
               AND (workspace IS NULL OR (
                   (SELECT true FROM jobs AS writer
                    WHERE writer.tenant = jobs.tenant AND writer.workspace = jobs.workspace
                      AND writer.status = 'running' AND writer.workspace IS NOT NULL LIMIT 1) IS NULL
                   AND id = (SELECT head.id FROM jobs AS head
                             WHERE head.tenant = jobs.tenant AND head.workspace = jobs.workspace
                               AND head.template = %(template)s
                               AND head.status = 'queued' AND head.workspace IS NOT NULL
                               AND head.available_at <= now()"""
_FIRST: LiteralString = " ORDER BY head.priority DESC, head.seq LIMIT 1)))"

_HEADS: LiteralString = f"""
heads AS MATERIALIZED (
    SELECT * FROM (
        SELECT head.id, head.priority, head.seq, head.attempt, considered.tenant, considered.limited, considered.fresh,
               considered.running + row_number() OVER own AS turn,
               count(*) FILTER (WHERE head.attempt = 0) OVER own AS fresh_place
        FROM considered
        CROSS JOIN LATERAL (
            (SELECT id, priority, seq, attempt FROM jobs
             WHERE status = 'queued' AND template = %(template)s AND jobs.tenant = considered.tenant
               AND available_at <= now() AND coalesce(considered.fresh > 0, true){_FREE}{_FIRST}
             ORDER BY priority DESC, seq LIMIT greatest(0, least(%(window)s, considered.room)))
            UNION ALL
            (SELECT id, priority, seq, attempt FROM jobs
             WHERE status = 'queued' AND attempt > 0 AND template = %(template)s AND jobs.tenant = considered.tenant
               AND available_at <= now() AND considered.fresh <= 0{_FREE} AND head.attempt > 0{_FIRST}
             ORDER BY priority DESC, seq LIMIT greatest(0, least(%(window)s, considered.room)))
        ) AS head
        WINDOW own AS (PARTITION BY considered.tenant ORDER BY head.priority DESC, head.seq)
    ) AS head
    WHERE attempt > 0 OR coalesce(fresh_place <= fresh, true)
)"""

# Heads are locked one by one in their order, until there are enough. LATERAL and `status || ''` leave the planner no
# way but to look each up by its id: one that planned while the queue was empty would read all of it for each claim.
_ALLOWED: LiteralString = f"""
locked AS MATERIALIZED (
    SELECT budget.* FROM tenant_budgets AS budget
    WHERE budget.tenant = ANY (ARRAY(SELECT tenant FROM heads WHERE limited ORDER BY turn LIMIT %(window)s))
    ORDER BY budget.tenant FOR NO KEY UPDATE
), budgets AS MATERIALIZED (
    SELECT budget.tenant,
           budget.max_concurrent - considered.running - (budget.claims - considered.claims) AS room,
           least({MINUTE_LEFT},
                 budget.jobs_per_day - considered.begun - (budget.starts - considered.starts)) AS fresh
    FROM locked AS budget JOIN considered ON considered.tenant = budget.tenant
), held AS MATERIALIZED (
    SELECT head.* FROM (
        SELECT heads.id, heads.tenant, heads.turn, heads.priority, heads.seq, heads.attempt
        FROM heads JOIN budgets ON budgets.tenant = heads.tenant
        WHERE heads.limited ORDER BY heads.turn, heads.priority DESC, heads.seq
    ) AS head
    CROSS JOIN LATERAL (
        SELECT FROM jobs WHERE jobs.id = head.id AND status || '' = 'queued' FOR UPDATE SKIP LOCKED
    ) AS job
    LIMIT %(slots)s
), allowed AS MATERIALIZED (
    SELECT held.* FROM (
        SELECT *, row_number() OVER own AS room_place, count(*) FILTER (WHERE attempt = 0) OVER own AS fresh_place
        FROM held WINDOW own AS (PARTITION BY tenant ORDER BY turn)
    ) AS held JOIN budgets ON budgets.tenant = held.tenant
    WHERE coalesce(room_place <= room, true) AND (attempt > 0 OR coalesce(fresh_place <= fresh, true))
), best AS MATERIALIZED (
    SELECT id, turn, priority, seq, true AS limited FROM allowed
    UNION ALL
    SELECT id, turn, priority, seq, false FROM heads WHERE NOT limited
), picked AS MATERIALIZED (
    SELECT head.id, head.limited FROM (SELECT * FROM best ORDER BY turn, priority DESC, seq) AS head
    CROSS JOIN LATERAL (
        SELECT FROM jobs WHERE jobs.id = head.id AND status || '' = 'queued' FOR UPDATE SKIP LOCKED
    ) AS job
    LIMIT %(slots)s
)"""

_TAKEN: LiteralString = f"""
claimed AS (
    UPDATE jobs SET
        status = 'running', attempt = attempt + 1, worker_id = %(worker_id)s, claimed_at = now(),
        lease_expires_at = now() + make_interval(secs => %(lease_seconds)s)
    FROM picked WHERE jobs.id = picked.id
    RETURNING jobs.id, attempt, failures, max_attempts, retry_terminated, tenant, language, request_id,
              traceparent, timeout_seconds, workspace, picked.limited,
              extract(epoch FROM now() - created_at)::float8 * 1000 AS waited_ms
), counted AS (
    SELECT tenant, count(*) AS claims, count(*) FILTER (WHERE attempt = 1) AS starts
    FROM claimed WHERE limited GROUP BY tenant
), spent AS (
    UPDATE tenant_budgets SET claims = budget.claims + counted.claims, starts = budget.starts + counted.starts,
        minute_full_at = CASE WHEN budget.jobs_per_minute IS NULL THEN budget.minute_full_at
            ELSE {FULL_AT} + counted.starts * interval '60 s' / budget.jobs_per_minute END
    FROM counted JOIN locked AS budget ON budget.tenant = counted.tenant
    WHERE tenant_budgets.tenant = counted.tenant
), used AS (
    INSERT INTO tenant_usage (tenant, day, part, jobs)
    SELECT tenant, {TODAY}, pg_backend_pid() %% 8, starts FROM counted WHERE starts > 0 ORDER BY tenant
    ON CONFLICT (tenant, day, part) DO UPDATE SET jobs = tenant_usage.jobs + excluded.jobs
)
SELECT claimed.*, job_inputs.payload,
       EXISTS (SELECT FROM job_watches WHERE job_watches.job_id = claimed.id AND watched_until > now()) AS watched
FROM claimed JOIN job_inputs ON job_inputs.job_id = claimed.id
"""

CLAIM: LiteralString = ", ".join((_WAITING, _CONSIDERED, _HEADS, _ALLOWED, _TAKEN))
