"""API keys: `fleet_<key id>_<256 random bits>`. The database has a key's SHA-256, never the key."""

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fleet_runtime.config import BootstrapKey
from fleet_runtime.database import Database

_FORM = re.compile(r"fleet_([0-9a-f]{8})_[0-9a-f]{64}")
_REMEMBERED = 4_096
"""Keys kept in memory at once; unknown ones too, so that guessing does not reach the database each time."""

_FIND = """
SELECT tenant, sha256 FROM api_keys
WHERE key_id = %(key_id)s AND revoked_at IS NULL AND (listed OR NOT bootstrap)
"""

_SYNC = """
WITH given AS (
    SELECT * FROM unnest(%(tenants)s::text[], %(key_ids)s::text[], %(digests)s::text[]) AS given(tenant, key_id, sha256)
), new_tenants AS (
    INSERT INTO tenants (name) SELECT DISTINCT tenant FROM given ON CONFLICT DO NOTHING
), unlisted AS (
    UPDATE api_keys SET listed = false
    WHERE bootstrap AND listed AND key_id NOT IN (SELECT key_id FROM given)
      AND listed_at <= now() - make_interval(secs => %(unlisted_seconds)s)
)
INSERT INTO api_keys (key_id, tenant, sha256, bootstrap, listed)
SELECT key_id, tenant, sha256, true, true FROM given ORDER BY key_id
ON CONFLICT (key_id) DO UPDATE SET tenant = excluded.tenant, sha256 = excluded.sha256, listed = true, listed_at = now()
WHERE api_keys.bootstrap
"""

# The keys are locked first, and skipped where another replica is at them: two with lists in another order would wait
# for each other.
_KEEP = """
WITH given AS (
    SELECT * FROM unnest(%(key_ids)s::text[], %(digests)s::text[]) AS given(key_id, sha256)
), due AS (
    SELECT api_keys.key_id, given.key_id IS NOT NULL AS listed
    FROM api_keys LEFT JOIN given ON given.key_id = api_keys.key_id
    WHERE bootstrap AND CASE
        WHEN given.key_id IS NULL
            THEN api_keys.listed AND listed_at <= now() - make_interval(secs => %(unlisted_seconds)s)
        ELSE api_keys.sha256 = given.sha256
            AND (NOT api_keys.listed OR listed_at <= now() - make_interval(secs => %(unlisted_seconds)s / 4)) END
    FOR UPDATE OF api_keys SKIP LOCKED
)
UPDATE api_keys SET listed = due.listed, listed_at = CASE WHEN due.listed THEN now() ELSE listed_at END
FROM due WHERE api_keys.key_id = due.key_id
"""

_CREATE = """
WITH tenant AS (
    INSERT INTO tenants (name) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
)
INSERT INTO api_keys (key_id, tenant, sha256) VALUES (%(key_id)s, %(tenant)s, %(sha256)s)
"""

_REVOKE = "UPDATE api_keys SET revoked_at = now() WHERE key_id = %(key_id)s AND revoked_at IS NULL RETURNING tenant"

_LIST = """
SELECT key_id, tenant, created_at, revoked_at IS NULL AND (listed OR NOT bootstrap) AS valid
FROM api_keys ORDER BY tenant, created_at, key_id
"""


@dataclass(frozen=True)
class Identity:
    """Whom a request comes from."""

    tenant: str
    key_id: str


def digest(key: str) -> str:
    """Return what is stored of a key. A plain hash suffices: there are 256 random bits to guess."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyStore:
    """The keys in the database."""

    def __init__(self, database: Database) -> None:
        """Use this database."""
        self._database = database

    async def find(self, key_id: str) -> tuple[str, str] | None:
        """Return a valid key's tenant and SHA-256."""
        found = await self._database.tuples(_FIND, {"key_id": key_id})
        return (found[0][0], found[0][1]) if found else None

    async def synchronise(self, keys: Sequence[BootstrapKey], unlisted_seconds: float = 0) -> None:
        """Make the deployment's own keys these; one that an operator has revoked stays revoked.

        Others that nobody has listed for `unlisted_seconds` are valid no longer.
        """
        await self._database.tuples(_SYNC, _parameters(keys, unlisted_seconds))

    async def keep(self, keys: Sequence[BootstrapKey], unlisted_seconds: float) -> None:
        """Do so again and again, so that the keys stay listed while a process that lists them lives."""
        await self._database.tuples(_KEEP, _parameters(keys, unlisted_seconds))

    async def create(self, tenant: str) -> str:
        """Make a key for a tenant, and the tenant if it is new; returns the key, which cannot be had again."""
        key_id = secrets.token_hex(4)
        key = f"fleet_{key_id}_{secrets.token_hex(32)}"
        await self._database.tuples(_CREATE, {"tenant": tenant, "key_id": key_id, "sha256": digest(key)})
        return key

    async def revoke(self, key_id: str) -> str | None:
        """Revoke a key for good and return its tenant, or None where no such key is valid."""
        revoked = await self._database.tuples(_REVOKE, {"key_id": key_id})
        return str(revoked[0][0]) if revoked else None

    async def all(self) -> list[tuple[str, str, str, bool]]:
        """Return (key id, tenant, created, valid) of every key."""
        rows = await self._database.tuples(_LIST, {})
        return [(key_id, tenant, created.isoformat(), valid) for key_id, tenant, created, valid in rows]


def _parameters(keys: Sequence[BootstrapKey], unlisted_seconds: float) -> dict[str, Any]:
    return {
        "tenants": [key.tenant for key in keys],
        "key_ids": [key.key_id for key in keys],
        "digests": [key.sha256 for key in keys],
        "unlisted_seconds": unlisted_seconds,
    }


class Authenticator:
    """Checks keys, remembering each for at most `cache_seconds`: that is how long a revoked one may still work."""

    def __init__(self, store: KeyStore, *, cache_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Look keys up in `store`."""
        self._store = store
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, tuple[str, str] | None]] = OrderedDict()

    async def identify(self, authorization: str | None) -> Identity | None:
        """Return whom an Authorization header's value stands for; None if nobody. Raises DatabaseAway."""
        scheme, _, key = (authorization or "").partition(" ")
        form = _FORM.fullmatch(key.strip()) if scheme.lower() == "bearer" else None
        if form is None:
            return None
        found = await self._find(form[1])
        if found is None or not hmac.compare_digest(found[1], digest(form[0])):
            return None
        return Identity(tenant=found[0], key_id=form[1])

    async def _find(self, key_id: str) -> tuple[str, str] | None:
        now = self._clock()
        remembered = self._known.get(key_id)
        if remembered is not None and now - remembered[0] < self._cache_seconds:
            return remembered[1]
        found = await self._store.find(key_id)
        # The time is the one before the question: a revocation committed after it may be in the answer, or not.
        self._known[key_id] = (now, found)
        self._known.move_to_end(key_id)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found
