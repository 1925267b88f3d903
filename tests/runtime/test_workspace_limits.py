"""Workspaces that have grown too large."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Generator
from typing import Any, cast

import httpx
import pytest
from calls import problem
from fleet_runtime.database import Database
from fleet_runtime.sandboxd.client import SandboxLost
from fleet_runtime.store.workspaces import Workspaces
from fleet_runtime.worker import workspace_sizes
from runtime_processes import Stack, start_stack, until

_AGENTS = (
    {"agent_type": "small", "template": "agent-small", "workspace_bytes": 100_000},
    {"agent_type": "free", "template": "agent-small"},
)


@pytest.fixture(scope="module")
def limited(shared_database_url: str) -> Generator[Stack]:
    """An API with two agent types, of which one takes small workspaces only."""
    with start_stack(shared_database_url, AGENTS=json.dumps(_AGENTS)) as stack:
        stack.start_worker(TEMPLATE="agent-small").line("worker_started")
        yield stack


@pytest.fixture
def client(limited: Stack) -> Generator[httpx.Client]:
    """A client of a tenant that no other test has."""
    with limited.client() as opened:
        yield opened


def _ask(client: httpx.Client, agent: str, command: str, **more: object) -> httpx.Response:
    body = {"agent": agent, "command": command, "workspace": "app", **more}
    return client.post("/execute", json=body, headers={"Prefer": "wait=30"})


def test_a_workspace_that_has_grown_too_large_gets_no_further_job(client: httpx.Client, limited: Stack) -> None:
    """One tenant's workspace would otherwise grow until the disk of all is full."""
    grow = "head -c 200000 /dev/zero > large"
    first = _ask(client, "small", grow, idempotency_key="grow").json()
    assert first["status"] == "succeeded"

    def refused() -> httpx.Response | None:
        answer = _ask(client, "small", "true")
        return answer if answer.status_code == 422 else None

    answer = until(refused, what="the measurement")
    document = problem(answer, 422)
    assert document["type"].endswith(":workspace-full")
    assert document["errors"][0]["field"] == "workspace"
    assert "0.2 MiB" in document["detail"]
    # What was accepted before is still what it was, another workspace and another type's limit are another matter.
    assert _ask(client, "small", grow, idempotency_key="grow").json()["id"] == first["id"]
    assert _ask(client, "small", "true", workspace="other").json()["status"] == "succeeded"
    assert _ask(client, "free", "rm large").json()["status"] == "succeeded"
    until(lambda: _ask(client, "small", "true").status_code == 200, what="the measurement of what is empty again")
    with limited.client() as other:
        assert _ask(other, "small", "true").json()["status"] == "succeeded"


class _LostOnce:
    """Sandboxes whose daemon is away when workspaces are measured for the first time."""

    def __init__(self) -> None:
        self.asked = 0

    async def workspace_sizes(self) -> dict[tuple[str, str], int]:
        self.asked += 1
        if self.asked == 1:
            raise SandboxLost("away", started=False)
        return {("tenant", "app"): 7}


async def test_a_measurement_that_failed_is_made_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace that no later job has would stay as large as it likes."""
    monkeypatch.setattr(workspace_sizes, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(workspace_sizes, "_PAUSE_SECONDS", 0.01)
    store = Workspaces(database)
    sizes = workspace_sizes.WorkspaceSizes(cast("Any", _LostOnce()), store)
    measuring = asyncio.create_task(sizes.run())
    try:
        sizes.ended("tenant", "app")
        for _ in range(300):
            if await store.size_bytes("tenant", "app") == 7:
                break
            await asyncio.sleep(0.1)
        assert await store.size_bytes("tenant", "app") == 7
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)


def test_an_operators_command_says_how_it_is_called_and_where() -> None:
    """A command that no role knows is found out by the operator who needs space."""
    environment = {**os.environ, "FLEET_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    for arguments in ([], ["remove", "tenant", "../.."]):
        command = [sys.executable, "-m", "fleet_runtime", "workspaces", *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 2
        assert "usage: python -m fleet_runtime workspaces list" in ended.stderr
