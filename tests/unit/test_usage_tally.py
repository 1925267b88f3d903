"""What tenants use is not lost where writing it is cut off in good order."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from fleet_runtime.database import Database
from fleet_runtime.store.usage import UsageTally


async def test_a_worker_that_drains_while_it_writes_usage_writes_that_usage_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prevents a second of every tenant's use from missing after each update of the workers."""
    database = Database("postgresql://localhost/none", application_name="test", connections=1, timeout_seconds=1)
    tally = UsageTally(database)
    tally.began("a")
    tally.used("b", 5.0)
    asked = asyncio.Event()

    async def never(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as hanging:
        hanging.setattr(database, "tuples", never)
        writing = asyncio.create_task(tally.write())
        await asked.wait()
        tally.began("a")
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    written: list[Mapping[str, Any]] = []

    async def note(_: str, parameters: Mapping[str, Any]) -> None:
        written.append(parameters)

    monkeypatch.setattr(database, "tuples", note)
    await tally.write()
    assert written == [{"tenants": ["a", "b"], "jobs": [2, 0], "cpu_ms": [0.0, 5.0]}]
