"""What tenants without limits use, added up by each worker and written together: only `GET /usage` asks for it.

What a limit depends on is written by the statement that it binds (claim_statement, outcomes), and never here.
"""

import asyncio
from collections import Counter

import structlog

from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.store.claim_statement import TODAY

log = structlog.get_logger()

_WRITE_SECONDS = 1.0

# Ordered, so that two workers never wait for each other's rows in turn.
_ADD = f"""
INSERT INTO tenant_usage (tenant, day, part, jobs, cpu_ms)
SELECT tenant, {TODAY}, pg_backend_pid() %% 8, jobs, cpu_ms
FROM unnest(%(tenants)s::text[], %(jobs)s::bigint[], %(cpu_ms)s::float8[]) AS used(tenant, jobs, cpu_ms) ORDER BY tenant
ON CONFLICT (tenant, day, part) DO UPDATE SET
    jobs = tenant_usage.jobs + excluded.jobs, cpu_ms = tenant_usage.cpu_ms + excluded.cpu_ms
"""  # noqa: S608 - literals only


class UsageTally:
    """One worker's tally. Nothing is decided by it.

    A worker that is killed takes the last second of it along; where a connection dies with its answer under way, that
    second may count twice.
    """

    def __init__(self, database: Database) -> None:
        """Begin with nothing used."""
        self._database = database
        self._jobs: Counter[str] = Counter()
        self._cpu_ms: dict[str, float] = {}

    def began(self, tenant: str) -> None:
        """Count a job that has begun."""
        self._jobs[tenant] += 1

    def used(self, tenant: str, cpu_ms: float) -> None:
        """Add processor time."""
        self._cpu_ms[tenant] = self._cpu_ms.get(tenant, 0.0) + cpu_ms

    async def write(self) -> None:
        """Write what has gathered; raises DatabaseAway, and then keeps it, as it does when it is cancelled."""
        jobs, cpu_ms = self._jobs, self._cpu_ms
        tenants = sorted(jobs.keys() | cpu_ms.keys())
        if not tenants:
            return
        self._jobs, self._cpu_ms = Counter(), {}
        parameters = {
            "tenants": tenants,
            "jobs": [jobs[tenant] for tenant in tenants],
            "cpu_ms": [cpu_ms.get(tenant, 0.0) for tenant in tenants],
        }
        try:
            await self._database.tuples(_ADD, parameters)
        except (DatabaseAway, asyncio.CancelledError):
            # A worker that drains cancels `run`, and then writes what is left.
            self._jobs.update(jobs)
            for tenant, used in cpu_ms.items():
                self.used(tenant, used)
            raise

    async def run(self) -> None:
        """Write about once a second, until cancelled."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            try:
                await self.write()
            except DatabaseAway as error:
                log.warning("usage_not_written", error=str(error))
