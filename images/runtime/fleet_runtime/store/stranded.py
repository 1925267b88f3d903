"""Queued jobs whose pool was removed: no worker claims their template any more, and nothing else would end them.

Several APIs may sweep at once, an old one during a rollout among them, whose list lacks the newest pools. So a template
is first noted as stranded, and each API takes the note away from the templates that it lists: only a template that no
API at all lists keeps its note for long enough to lose its jobs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from fleet_runtime.database import Database

GRACE_SECONDS = 60.0
"""How long nobody must have stood for a template: many rounds of every API that lists it, many beats of a worker."""

# Hops from template to template along the index. A worker that drains claims nothing, so it stands for no template.
_NOTE = """
WITH RECURSIVE queued(template) AS (
    (SELECT template FROM jobs WHERE status = 'queued' ORDER BY template LIMIT 1)
    UNION ALL
    SELECT (SELECT next.template FROM jobs AS next
            WHERE next.status = 'queued' AND next.template > queued.template
            ORDER BY next.template LIMIT 1)
    FROM queued WHERE queued.template IS NOT NULL
), stranded AS MATERIALIZED (
    SELECT template FROM queued
    WHERE template IS NOT NULL AND template <> ALL(%(templates)s::text[]) AND NOT EXISTS (
        SELECT FROM workers WHERE workers.template = queued.template AND NOT draining
            AND heartbeat_at > now() - make_interval(secs => %(grace_seconds)s))
), served AS (
    DELETE FROM stranded_templates WHERE template NOT IN (SELECT template FROM stranded)
)
INSERT INTO stranded_templates (template) SELECT template FROM stranded ORDER BY template
ON CONFLICT DO NOTHING
"""

_REROUTE = """
WITH stranded AS (
    SELECT jobs.id, homes.template AS home
    FROM stranded_templates JOIN jobs ON jobs.template = stranded_templates.template
    JOIN unnest(%(tenants)s::text[], %(homes)s::text[]) AS homes(tenant, template) ON homes.tenant = jobs.tenant
    WHERE jobs.status = 'queued' AND stranded_templates.template <> ALL(%(templates)s::text[])
      AND greatest(stranded_templates.since, jobs.available_at) <= now() - make_interval(secs => %(grace_seconds)s)
    LIMIT 500 FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET template = stranded.home FROM stranded WHERE jobs.id = stranded.id
RETURNING jobs.id
"""

_END = """
WITH stranded AS (
    SELECT jobs.id
    FROM stranded_templates JOIN jobs ON jobs.template = stranded_templates.template
    WHERE jobs.status = 'queued' AND stranded_templates.template <> ALL(%(templates)s::text[])
      AND jobs.tenant <> ALL(%(tenants)s::text[])
      AND greatest(stranded_templates.since, jobs.available_at) <= now() - make_interval(secs => %(lost_seconds)s)
    LIMIT 500 FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET
    status = 'lost', ended_at = now(), next_removal_at = now() + make_interval(secs => result_ttl_seconds),
    error_code = 'no_pool',
    error_message = 'the pool that was to run it, ' || quote_literal(template) || ', was removed from the fleet''s '
        || 'settings, and no other pool of tenant ' || quote_literal(tenant) || ' takes its place'
FROM stranded WHERE jobs.id = stranded.id
RETURNING jobs.id
"""


@dataclass(frozen=True)
class Unstranded:
    """What one sweep did: jobs that another pool has now, and jobs that ended because there is none."""

    rerouted: list[UUID] = field(default_factory=list[UUID])
    ended: list[UUID] = field(default_factory=list[UUID])


class StrandedJobs:
    """The part of the store that the API of all pools keeps from filling up for ever."""

    def __init__(
        self, database: Database, *, templates: Collection[str], homes: Mapping[str, str], lost_seconds: float
    ) -> None:
        """Leave `templates` alone; `homes` is where a tenant's stranded jobs go.

        Those of a tenant without a home end once nobody has stood for their template for `lost_seconds`.
        """
        self._database = database
        self._parameters = {
            "templates": list(templates),
            "tenants": list(homes),
            "homes": list(homes.values()),
            "grace_seconds": GRACE_SECONDS,
            "lost_seconds": max(lost_seconds, GRACE_SECONDS),
        }

    async def sweep(self) -> Unstranded:
        """Do one round, bounded to 500 jobs of each kind; raises DatabaseAway."""
        await self._database.tuples(_NOTE, self._parameters)
        rerouted = await self._database.tuples(_REROUTE, self._parameters)
        ended = await self._database.tuples(_END, self._parameters)
        return Unstranded([id_ for (id_,) in rerouted], [id_ for (id_,) in ended])
