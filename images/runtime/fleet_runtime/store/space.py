"""Whether the database has room for more: what reads alone do not show."""

import time
from collections.abc import Callable

from psycopg.errors import InsufficientPrivilege

from fleet_runtime.database import Database, DatabaseFull

# About as much as an ordinary job, in a table that is gone with the statement and that no log and no flush is made for.
_TRY = """
CREATE TEMPORARY TABLE room_for_a_job ON COMMIT DROP AS SELECT generate_series(1, 10000) AS number
"""
_TRIED_EVERY_SECONDS = 2.0


class DatabaseSpace:
    """After a statement has failed on a full disk, tries from time to time whether there is room again."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take it that there is room until a statement of `database` has failed."""
        self._database = database
        self._clock = clock
        self._tried_at = float("-inf")

    async def full(self) -> bool:
        """Say whether nothing new can be stored; raises DatabaseAway."""
        if self._database.was_full and self._clock() - self._tried_at > _TRIED_EVERY_SECONDS:
            self._database.was_full = False
            try:
                await self._database.tuples(_TRY, {})
            except DatabaseFull:
                self._tried_at = self._clock()
            except InsufficientPrivilege:
                # A database of somebody else's, who lets nobody make such tables: the next job shows it.
                return False
        return self._database.was_full
