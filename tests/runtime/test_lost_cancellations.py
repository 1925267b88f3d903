"""Whoever is cancelled while waiting for a connection ends, whenever the cancellation comes."""

import asyncio

from fleet_runtime.database import Database

_ROUNDS = 1_000
"""Of so many, some ten end otherwise where the pool's own waiting is trusted."""
_OTHERS = 3


async def test_a_cancellation_is_never_lost_in_the_pool(database_url: str) -> None:
    """One in a thousand was: the loop that lost it went on for ever, and its worker never ended."""
    database = Database(database_url, application_name="test", connections=2, timeout_seconds=30)
    await database.open()
    try:
        unheard = 0
        for steps in range(_ROUNDS):
            # More than the pool has connections, so that one is handed over in the moment of a cancellation.
            others = [asyncio.create_task(database.tuples("SELECT 1", {})) for _ in range(_OTHERS)]
            cancelled = asyncio.create_task(database.tuples("SELECT 1", {}))
            for _ in range(1 + steps % 30):
                await asyncio.sleep(0)
            asked = cancelled.cancel()
            await asyncio.wait({cancelled})
            unheard += asked and not cancelled.cancelled()
            await asyncio.gather(*others)
    finally:
        await database.close()
    assert unheard == 0
