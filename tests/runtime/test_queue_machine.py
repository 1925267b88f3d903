"""The queue against a model of it: whatever happens in whatever order, no job is lost and none ends twice."""

import asyncio
import uuid
from collections.abc import Generator
from typing import Any, ClassVar
from uuid import UUID

import pytest
from fleet_runtime.database import Database
from fleet_runtime.states import JobStatus
from fleet_runtime.store import database_clock
from fleet_runtime.store.acceptance import Acceptance, IdempotencyConflict
from fleet_runtime.store.records import ClaimedJob, NewJob, Outcome
from fleet_runtime.store.results import Results
from fleet_runtime.store.sweeping import Sweeper
from fleet_runtime.store.usage import UsageTally
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from jobs import end_backoff, expire_lease, new_job, opened, set_limits, worker_on
from queue_model import Held, ModelJob, ModelTenant

TENANTS = ("one", "two")
WORKERS = ("w1", "w2")
OUTCOMES = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.TIMED_OUT)


class Queue(RuleBasedStateMachine):
    """Rules are what clients, workers and the sweeper do; the invariant compares every row with the model."""

    database: ClassVar[Database]
    runner: ClassVar[asyncio.Runner]

    jobs: Bundle[Any] = Bundle("jobs")
    held: Bundle[Any] = Bundle("held")

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.model: dict[UUID, ModelJob] = {}
        self.tenants = {tenant: ModelTenant() for tenant in TENANTS}
        self.keys: dict[tuple[str, str], tuple[UUID, bytes]] = {}
        self.usage = UsageTally(self.database)

    def wait(self, operation: Any) -> Any:
        """Run an operation of the store to its end."""
        return self.runner.run(operation)

    @initialize()
    def empty(self) -> None:
        """Begin with empty tables."""
        self.wait(self.database.tuples("TRUNCATE jobs, job_inputs, tenant_budgets, tenant_usage", {}))

    @rule(
        target=jobs,
        tenant=st.sampled_from(TENANTS),
        priority=st.integers(-1, 1),
        max_attempts=st.integers(1, 3),
        key=st.none() | st.sampled_from("ab"),
        body=st.sampled_from([b"x", b"y"]),
    )
    def accept(self, tenant: str, priority: int, max_attempts: int, key: str | None, body: bytes) -> Any:
        """A client sends a job, perhaps again."""
        job = new_job(tenant, priority=priority, max_attempts=max_attempts, idempotency_key=key, body=body)
        known = self.keys.get((tenant, key)) if key else None
        try:
            accepted = self.wait(Acceptance(self.database).accept(job))
        except IdempotencyConflict:
            assert known is not None
            assert known[1] != body
            return multiple()
        if known is not None:
            assert (accepted.id, accepted.created) == (known[0], False)
            assert known[1] == body
            return multiple()
        assert (accepted.id, accepted.created) == (job.id, True)
        self.remember(job)
        if key:
            self.keys[tenant, key] = (job.id, body)
        return job.id

    @rule(target=held, worker=st.sampled_from(WORKERS), slots=st.integers(1, 4))
    def claim(self, worker: str, slots: int) -> Any:
        """A worker takes jobs; shares must hold."""
        self.wait(end_backoff(self.database))
        running = {name: tenant.running for name, tenant in self.tenants.items()}
        window = 2 * slots + 16
        claimable = sum(tenant.claimable(window) for tenant in self.tenants.values())
        claimed = self.wait(worker_on(self.database, worker, usage=self.usage)[0].claim(slots))
        assert len(claimed) == min(slots, claimable)
        self.take(worker, claimed)
        # A tenant whose jobs could have begun must not have been passed over for one that ran more.
        taken = {tenant: sum(job.tenant == tenant for job in claimed) for tenant in TENANTS}
        for poor, rich in (TENANTS, TENANTS[::-1]):
            if taken[rich] and self.tenants[poor].claimable(window):
                assert running[poor] + taken[poor] >= running[rich] + taken[rich] - 1
        return multiple(*(Held(worker, job.id, job.attempt) for job in claimed))

    def take(self, worker: str, claimed: list[ClaimedJob]) -> None:
        """Have the model know what a worker claimed; no budget may have been passed."""
        for job in claimed:
            known, tenant = self.model[job.id], self.tenants[job.tenant]
            assert known.status == "queued"
            assert job.attempt == known.attempt + 1
            known.status, known.attempt, known.worker, known.lease_expired = "running", job.attempt, worker, False
            assert tenant.max_concurrent is None or tenant.running <= tenant.max_concurrent
            if job.attempt == 1:
                tenant.begun += 1
                assert tenant.jobs_per_day is None or tenant.begun <= tenant.jobs_per_day

    @rule(
        tenant=st.sampled_from(TENANTS),
        max_concurrent=st.none() | st.integers(1, 4),
        jobs_per_day=st.none() | st.integers(1, 12),
    )
    def set_a_budget(self, tenant: str, max_concurrent: int | None, jobs_per_day: int | None) -> None:
        """An operator changes a tenant's limits, perhaps to less than it uses."""
        self.wait(set_limits(self.database, tenant, max_concurrent=max_concurrent, jobs_per_day=jobs_per_day))
        self.tenants[tenant].max_concurrent, self.tenants[tenant].jobs_per_day = max_concurrent, jobs_per_day

    @rule()
    def begin_a_new_day(self) -> None:
        """Midnight comes."""
        self.wait(self.database.tuples("DELETE FROM tenant_usage", {}))
        for tenant in self.tenants.values():
            tenant.begun = 0

    @rule(worker=st.sampled_from(WORKERS))
    def kill_a_worker(self, worker: str) -> None:
        """A worker is killed: all that it holds runs out, and what it did not write is never written."""
        for id_, job in self.model.items():
            if job.status == "running" and job.worker == worker:
                self.wait(expire_lease(self.database, id_))
                job.lease_expired = True
        self.sweep()

    @rule(attempts=st.lists(held, max_size=4, unique=True), worker=st.sampled_from(WORKERS))
    def renew(self, attempts: list[Held], worker: str) -> None:
        """A worker renews whatever it believes to hold, or another does."""
        mine = [(one.job, one.attempt) for one in attempts]
        news = self.wait(worker_on(self.database, worker)[0].renew(mine))
        for id_, attempt in mine:
            known = self.model[id_]
            assert ((id_, attempt) in news.lost) == (not known.held_by(worker, attempt))
            if known.held_by(worker, attempt):
                assert ((id_, attempt) in news.cancelled) == known.cancel_requested
                known.lease_expired = False

    @rule(attempt=held, status=st.sampled_from(OUTCOMES))
    def finish(self, attempt: Held, status: JobStatus) -> None:
        """A worker ends an attempt, its own or one lost long ago."""
        outcome = Outcome(status, stdout=attempt.worker.encode() + b"\0%d" % attempt.attempt)
        stored = self.wait(worker_on(self.database, attempt.worker)[1].finish(attempt.job, attempt.attempt, outcome))
        known = self.model[attempt.job]
        if known.held_by(attempt.worker, attempt.attempt):
            known.end("cancelled" if known.cancel_requested else status.value)
            assert stored == known.status
        elif stored is not None:
            # Saying again what this very attempt has ended as is allowed; ending it again is not.
            assert (known.worker, known.attempt, known.status) == (attempt.worker, attempt.attempt, stored)

    @rule(attempt=consumes(held))
    def hand_back(self, attempt: Held) -> None:
        """A draining worker returns an attempt."""
        stored = self.wait(worker_on(self.database, attempt.worker)[1].hand_back(attempt.job, attempt.attempt))
        known = self.model[attempt.job]
        if known.held_by(attempt.worker, attempt.attempt):
            known.status = "cancelled" if known.cancel_requested else "queued"
            assert stored == known.status
        else:
            assert stored is None

    @rule(attempt=held)
    def retry(self, attempt: Held) -> None:
        """A worker reports that the infrastructure failed."""
        outcomes = worker_on(self.database, attempt.worker)[1]
        stored = self.wait(outcomes.retry(attempt.job, attempt.attempt, error_code="e", error_message="m"))
        known = self.model[attempt.job]
        if known.held_by(attempt.worker, attempt.attempt):
            known.fail()
            assert stored == known.status
        else:
            assert stored is None

    @rule(job=jobs)
    def cancel(self, job: UUID) -> None:
        """The tenant cancels."""
        known = self.model[job]
        state = self.wait(Results(self.database).cancel(known.tenant, job))
        if known.status == "queued":
            known.end("cancelled")
        elif known.status == "running":
            known.cancel_requested = True
        assert state.status == known.status

    @rule(job=jobs)
    def cancel_as_another_tenant(self, job: UUID) -> None:
        """Another tenant must find nothing to cancel."""
        assert self.wait(Results(self.database).cancel("stranger", job)) is None

    @rule(target=jobs, tenant=st.sampled_from(TENANTS), priority=st.integers(-1, 1), count=st.integers(2, 6))
    def accept_several(self, tenant: str, priority: int, count: int) -> Any:
        """A client sends many jobs, so that some wait."""
        return multiple(*(self.accept_one(new_job(tenant, priority=priority)) for _ in range(count)))

    def accept_one(self, job: NewJob) -> UUID:
        """Store a job that has no idempotency key."""
        assert self.wait(Acceptance(self.database).accept(job)).created
        self.remember(job)
        return job.id

    def remember(self, job: NewJob) -> None:
        """Have the model know a job that was accepted."""
        known = ModelJob(job.tenant, job.max_attempts, job.priority, order=len(self.model))
        self.model[job.id] = self.tenants[job.tenant].jobs[job.id] = known

    @rule(attempt=held, swept=st.booleans())
    def let_a_lease_run_out(self, attempt: Held, swept: bool) -> None:
        """A lease's time passes, and the sweeper may come at once."""
        self.wait(expire_lease(self.database, attempt.job))
        known = self.model[attempt.job]
        known.lease_expired = known.status == "running"
        if swept:
            self.sweep()

    @rule(target=held, attempt=held)
    def lose_a_job_and_get_it_again(self, attempt: Held) -> Any:
        """A worker stalls until its lease is gone, and then claims everything there is."""
        self.let_a_lease_run_out(attempt, swept=True)
        return self.claim(attempt.worker, 100)

    @rule()
    def sweep(self) -> None:
        """The sweeper comes."""
        swept = self.wait(Sweeper(self.database, grace_seconds=0).sweep())
        for id_, job in self.model.items():
            if job.status == "running" and job.lease_expired:
                job.fail()
                job.lease_expired = False
                assert (id_ in swept.requeued) == (job.status == "queued")
                assert (id_ in swept.ended) == (job.status != "queued")
            else:
                assert id_ not in swept.requeued
                assert id_ not in swept.ended

    @invariant()
    def the_table_is_what_the_model_says(self) -> None:
        """Every row is in the state that the model has for it."""
        rows = self.wait(self.database.tuples("SELECT id, status, attempt, failures FROM jobs", {}))
        assert {row[0]: row[1:] for row in rows} == {
            id_: (job.status, job.attempt, job.failures) for id_, job in self.model.items()
        }
        # Workers write once a second what counts towards no limit.
        self.wait(self.usage.write())
        used = self.wait(self.database.tuples("SELECT tenant, sum(jobs)::int FROM tenant_usage GROUP BY tenant", {}))
        assert dict(used) == {name: tenant.begun for name, tenant in self.tenants.items() if tenant.begun}


@pytest.fixture
def machine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[type[Queue]]:
    """The machine, on a database of its own."""
    # A sweep that takes longer takes no leases away; that is the subject of test_database_clock.py.
    monkeypatch.setattr(database_clock, "_TOLERANCE_SECONDS", 60.0)
    with asyncio.Runner() as runner:
        database = Database(database_url, application_name="machine", connections=4, timeout_seconds=10)
        runner.run(opened(database))
        yield type(f"Queue{uuid.uuid4().hex[:4]}", (Queue,), {"database": database, "runner": runner})
        runner.run(database.close())


def test_no_job_is_lost_and_each_ends_once_whatever_happens(machine: type[Queue]) -> None:
    """A queue that loses a job, runs one for ever or changes a result is worse than none."""
    bounds = settings(
        max_examples=200,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
    )
    run_state_machine_as_test(machine, settings=bounds)
