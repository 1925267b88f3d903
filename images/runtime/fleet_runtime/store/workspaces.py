"""What is known of tenants' workspaces: their last measured size, and when a job last had each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet_runtime.database import Database

Key = tuple[str, str]
"""A tenant and the name of its workspace."""

_RECORD = """
INSERT INTO workspaces (tenant, name, size_bytes, used_at)
SELECT tenant, name, size_bytes, CASE WHEN used THEN now() END
FROM unnest(%(tenants)s::text[], %(names)s::text[], %(sizes)s::bigint[], %(used)s::boolean[])
    AS found(tenant, name, size_bytes, used)
ORDER BY tenant, name
ON CONFLICT (tenant, name) DO UPDATE SET
    size_bytes = coalesce(excluded.size_bytes, workspaces.size_bytes),
    used_at = coalesce(excluded.used_at, workspaces.used_at)
WHERE excluded.used_at IS NOT NULL OR excluded.size_bytes IS DISTINCT FROM workspaces.size_bytes
"""
_SIZE = "SELECT size_bytes FROM workspaces WHERE tenant = %(tenant)s AND name = %(name)s"
_ALL = "SELECT tenant, name, size_bytes, used_at FROM workspaces ORDER BY tenant, name"
_FORGET = "DELETE FROM workspaces WHERE tenant = %(tenant)s AND name = %(name)s"
_WRITER = """
SELECT id FROM jobs
WHERE tenant = %(tenant)s AND workspace = %(name)s AND status = 'running' AND workspace IS NOT NULL
"""


@dataclass(frozen=True)
class KnownWorkspace:
    """One workspace; None is what is not known."""

    tenant: str
    name: str
    size_bytes: int | None
    used_at: datetime | None


class Workspaces:
    """The part of the store about workspaces."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def record(self, sizes: Mapping[Key, int], used: Collection[Key]) -> None:
        """Note what was measured, and that jobs have just had those that are `used`; raises DatabaseAway."""
        keys = sorted(sizes.keys() | set(used))
        parameters = {
            "tenants": [tenant for tenant, _ in keys],
            "names": [name for _, name in keys],
            "sizes": [sizes.get(key) for key in keys],
            "used": [key in used for key in keys],
        }
        await self._database.tuples(_RECORD, parameters)

    async def size_bytes(self, tenant: str, name: str) -> int:
        """Return the last measured size, 0 where there is none; raises DatabaseAway."""
        found = await self._database.tuples(_SIZE, {"tenant": tenant, "name": name})
        return int(found[0][0] or 0) if found else 0

    async def all(self) -> list[KnownWorkspace]:
        """Return everything that is known; raises DatabaseAway."""
        return await self._database.rows(KnownWorkspace, _ALL, {})

    async def writer(self, tenant: str, name: str) -> str | None:
        """Return the id of the running job that has it; raises DatabaseAway."""
        found = await self._database.tuples(_WRITER, {"tenant": tenant, "name": name})
        return str(found[0][0]) if found else None

    async def forget(self, tenant: str, name: str) -> None:
        """Forget one that was removed; raises DatabaseAway."""
        await self._database.tuples(_FORGET, {"tenant": tenant, "name": name})
