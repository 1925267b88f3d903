"""Workspaces and claims: one writer at a time, whatever claims, and nothing waits that need not."""

import asyncio
import itertools
import uuid
from collections.abc import Generator
from typing import Any, ClassVar
from uuid import UUID

import psycopg
import pytest
from fleet_runtime.database import Database
from fleet_runtime.states import JobStatus
from fleet_runtime.store import database_clock
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.records import ClaimedJob, Outcome
from fleet_runtime.store.sweeping import Sweeper
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from jobs import end_backoff, expire_lease, new_job, opened, row, set_limits, worker_on

TEMPLATES = ("agent-a", "agent-b")
_TWO_WRITERS = """
SELECT tenant, workspace FROM jobs WHERE status = 'running' AND workspace IS NOT NULL
GROUP BY tenant, workspace HAVING count(*) > 1
"""


class Workspaces(RuleBasedStateMachine):
    """Jobs of two agent types that share workspaces, with claims one by one and all at once."""

    database: ClassVar[Database]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.queued: dict[UUID, tuple[str, str, str | None]] = {}
        self.running: dict[UUID, tuple[int, str, tuple[str, str, str | None]]] = {}

    def wait(self, operation: Any) -> Any:
        """Run an operation of the store to its end."""
        return self.runner.run(operation)

    @initialize(limit=st.none() | st.integers(1, 3))
    def empty(self, limit: int | None) -> None:
        """Begin with empty tables, and perhaps with a limited tenant."""
        self.wait(self.database.tuples("TRUNCATE jobs, job_inputs, tenant_budgets, tenant_usage", {}))
        self.wait(set_limits(self.database, "one", max_concurrent=limit))
        self.limit = limit

    @rule(
        tenant=st.sampled_from(("one", "two")),
        template=st.sampled_from(TEMPLATES),
        workspace=st.sampled_from(("x", "y", None)),
        priority=st.integers(-1, 1),
        count=st.integers(1, 3),
    )
    def accept(self, tenant: str, template: str, workspace: str | None, priority: int, count: int) -> None:
        """A tenant sends jobs."""
        for _ in range(count):
            job = new_job(tenant, template=template, workspace=workspace, agent="a", priority=priority)
            self.wait(Acceptance(self.database).accept(job))
            self.queued[job.id] = (tenant, template, workspace)

    def take(self, worker: str, claimed: list[ClaimedJob]) -> None:
        """Have the model know what was claimed."""
        for job in claimed:
            what = self.queued.pop(job.id)
            assert job.workspace == what[2]
            self.running[job.id] = (job.attempt, worker, what)

    @rule(template=st.sampled_from(TEMPLATES), slots=st.integers(1, 4))
    def claim(self, template: str, slots: int) -> None:
        """One worker claims: it gets as much as can run."""
        self.wait(end_backoff(self.database))
        busy = {(tenant, workspace) for _, _, (tenant, _, workspace) in self.running.values() if workspace}
        most = 0
        for tenant in ("one", "two"):
            mine = [what[2] for what in self.queued.values() if what[:2] == (tenant, template)]
            free = {workspace for workspace in mine if workspace and (tenant, workspace) not in busy}
            able = sum(workspace is None for workspace in mine) + len(free)
            running = sum(what[0] == tenant for _, _, what in self.running.values())
            room = self.limit - running if tenant == "one" and self.limit is not None else able
            most += min(able, max(0, room))
        claimed = self.wait(worker_on(self.database, template, template=template)[0].claim(slots))
        assert len(claimed) == min(slots, most)
        self.take(template, claimed)

    @rule(slots=st.integers(1, 4))
    def claim_together(self, slots: int) -> None:
        """Workers of both types claim at the same moment, two of each."""
        names = [f"{template}-{number}" for template, number in itertools.product(TEMPLATES, range(2))]

        async def together() -> list[list[ClaimedJob]]:
            workers = [worker_on(self.database, name, template=name[:-2])[0] for name in names]
            return await asyncio.gather(*(claims.claim(slots) for claims in workers))

        for name, claimed in zip(names, self.wait(together()), strict=True):
            self.take(name, claimed)

    # What races is not the same twice, so nothing that is drawn may depend on it.
    @rule(which=st.integers(0, 50), how=st.sampled_from(("finish", "hand_back", "expire")))
    def end(self, which: int, how: str) -> None:
        """An attempt ends in one way or another, and its workspace is free."""
        if not self.running:
            return
        id_ = sorted(self.running)[which % len(self.running)]
        attempt, worker, what = self.running.pop(id_)
        outcomes = worker_on(self.database, worker, template=what[1])[1]
        if how == "finish":
            self.wait(outcomes.finish(id_, attempt, Outcome(JobStatus.SUCCEEDED)))
            return
        if how == "hand_back":
            self.wait(outcomes.hand_back(id_, attempt))
        else:
            self.wait(expire_lease(self.database, id_))
            self.wait(Sweeper(self.database, grace_seconds=0).sweep())
        [(status,)] = self.wait(self.database.tuples("SELECT status FROM jobs WHERE id = %(id)s", {"id": id_}))
        if status == "queued":
            self.queued[id_] = what

    @invariant()
    def no_workspace_has_two_writers(self) -> None:
        """As the table says, not the model."""
        assert self.wait(self.database.tuples(_TWO_WRITERS, {})) == []


@pytest.fixture
def machine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[type[Workspaces]]:
    """The machine, on a database of its own."""
    # A sweep that takes longer takes no leases away; that is the subject of test_database_clock.py.
    monkeypatch.setattr(database_clock, "_TOLERANCE_SECONDS", 60.0)
    with asyncio.Runner() as runner:
        database = Database(database_url, application_name="machine", connections=8, timeout_seconds=10)
        runner.run(opened(database))
        yield type(f"Workspaces{uuid.uuid4().hex[:4]}", (Workspaces,), {"database": database, "runner": runner})
        runner.run(database.close())


def test_a_workspace_has_one_writer_and_keeps_nobody_else_waiting(machine: type[Workspaces]) -> None:
    """Two agents in one folder undo each other's work."""
    bounds = settings(
        max_examples=60,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
    )
    run_state_machine_as_test(machine, settings=bounds)


async def test_a_claim_that_loses_a_workspace_to_another_takes_what_else_there_is(
    database: Database, database_url: str
) -> None:
    """The index is the last guard: what it refuses must be neither an error nor a worker that stands still."""
    acceptance = Acceptance(database)
    ours = new_job(template="agent-a", workspace="x", agent="a")
    theirs = new_job(template="agent-b", workspace="x", agent="b")
    free = new_job(template="agent-b", workspace="y", agent="b")
    for job in (ours, theirs, free):
        await acceptance.accept(job)
    with psycopg.connect(database_url) as connection:
        # Another claim, not yet committed: what the next one reads does not have it.
        connection.execute(
            "UPDATE jobs SET status = 'running', attempt = 1, worker_id = 'w', lease_expires_at = now() + '1 minute'"
            " WHERE id = %s",
            (ours.id,),
        )
        claiming = asyncio.create_task(worker_on(database, "other", template="agent-b")[0].claim(2))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        async with asyncio.timeout(10):
            while not await database.tuples(waiting, {}):  # noqa: ASYNC110 - it happens in the server
                await asyncio.sleep(0.01)
        connection.commit()
    assert [job.id for job in await claiming] == [free.id]
    assert row(database_url, theirs.id)["status"] == "queued"
