"""Claims: shares between tenants, order within one, and what races between workers come to."""

import asyncio
import time
from collections import Counter

import psycopg
import pytest
from fleet_runtime.database import Database
from fleet_runtime.identifiers import new_job_id
from fleet_runtime.states import JobStatus
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.outcomes import Outcomes
from fleet_runtime.store.records import Outcome
from fleet_runtime.store.results import Results
from fleet_runtime.store.sweeping import Sweeper
from jobs import expire_lease, new_job, queue_many, row, worker_on


async def test_within_a_tenant_priority_goes_first_and_then_age(database: Database) -> None:
    """A high priority that waits behind old jobs is none."""
    acceptance = Acceptance(database)
    accepted = [new_job(priority=priority) for priority in (0, 5, 0, 5, -1)]
    for job in accepted:
        await acceptance.accept(job)
    claims, _ = worker_on(database, "w")
    order = [(await claims.claim(1))[0].id for _ in accepted]
    assert order == [accepted[index].id for index in (1, 3, 0, 2, 4)]


async def test_claiming_several_at_once_shares_like_claiming_one_by_one(database: Database) -> None:
    """A worker with many slots must not give them all to one tenant."""
    await queue_many(database, "big", 50)
    await queue_many(database, "small", 3)
    claims, _ = worker_on(database, "w")
    first = Counter(job.tenant for job in await claims.claim(4))
    assert first == {"big": 2, "small": 2}
    second = Counter(job.tenant for job in await claims.claim(4))
    assert second == {"big": 3, "small": 1}


async def test_a_tenants_running_jobs_count_against_it_whoever_runs_them(database: Database) -> None:
    """Shares are of the fleet, not of one worker."""
    await queue_many(database, "big", 50)
    one, other = worker_on(database, "one")[0], worker_on(database, "other")[0]
    assert len(await one.claim(8)) == 8
    await queue_many(database, "small", 20)
    assert Counter(job.tenant for job in await other.claim(8)) == {"small": 8}
    assert Counter(job.tenant for job in await other.claim(4)) == {"small": 2, "big": 2}


async def test_ten_thousand_queued_jobs_of_one_tenant_cost_another_nothing(database: Database) -> None:
    """The claim's time must depend on how many tenants wait, not on how much one of them has queued."""
    claims, outcomes = worker_on(database, "w")

    async def least_ms() -> float:
        samples: list[float] = []
        for _ in range(21):
            await Acceptance(database).accept(new_job("small", priority=1))
            started = time.perf_counter()
            claimed = await claims.claim(1)
            samples.append((time.perf_counter() - started) * 1000)
            assert claimed[0].tenant == "small"
            await outcomes.finish(claimed[0].id, claimed[0].attempt, Outcome(JobStatus.SUCCEEDED))
        # A cost that grows with the queue is in every sample; what else the machine does is not.
        return min(samples)

    await queue_many(database, "big", 10)
    few = await least_ms()
    await queue_many(database, "big", 10_000)
    many = await least_ms()
    assert many < 3 * few + 5, f"{few:.2f} ms with 10 queued, {many:.2f} ms with 10,000"


async def test_workers_that_claim_together_never_get_the_same_job(database: Database) -> None:
    """Two workers on one job would run it twice."""
    await queue_many(database, "one", 60)
    await queue_many(database, "two", 60)
    workers = [worker_on(database, f"w{number}")[0] for number in range(12)]
    claimed = [job.id for jobs in await asyncio.gather(*(claims.claim(10) for claims in workers)) for job in jobs]
    assert len(set(claimed)) == len(claimed)
    rest = [job.id for job in await workers[0].claim(200)]
    assert len({*claimed, *rest}) == 120


async def test_no_worker_goes_away_empty_while_others_claim(database: Database) -> None:
    """A worker that finds the heads of the queue locked must take what comes after them."""
    await queue_many(database, "one", 40)
    workers = [worker_on(database, f"w{number}")[0] for number in range(8)]
    counts = [len(jobs) for jobs in await asyncio.gather(*(claims.claim(2) for claims in workers))]
    assert counts == [2] * 8


async def test_a_result_of_a_lost_lease_is_refused(database: Database, database_url: str) -> None:
    """A worker that was cut off and comes back must not overwrite the job's second attempt."""
    await Acceptance(database).accept(new_job())
    slow, slow_outcomes = worker_on(database, "slow")
    (first,) = await slow.claim(1)
    await expire_lease(database, first.id)
    assert (await Sweeper(database, grace_seconds=0).sweep()).requeued == [first.id]
    await database.tuples("UPDATE jobs SET available_at = now()", {})
    other, other_outcomes = worker_on(database, "other")
    (second,) = await other.claim(1)
    assert second.attempt == 2
    assert await slow_outcomes.finish(first.id, 1, Outcome(JobStatus.FAILED, stdout=b"old")) is None
    assert (await slow.renew([(first.id, 1)])).lost == {(first.id, 1)}
    # The same worker's older attempt is as much another's.
    assert await other_outcomes.finish(first.id, 1, Outcome(JobStatus.FAILED, stdout=b"old")) is None
    assert await other_outcomes.finish(first.id, 2, Outcome(JobStatus.SUCCEEDED, stdout=b"new")) == "succeeded"
    assert bytes(row(database_url, first.id)["stdout"]) == b"new"


async def test_a_lease_is_measured_on_the_databases_clock(database: Database, database_url: str) -> None:
    """Workers' clocks differ; only one clock can say whether a lease has expired."""
    await Acceptance(database).accept(new_job())
    claims, _ = worker_on(database, "w", lease_seconds=30)
    (job,) = await claims.claim(1)
    assert (await Sweeper(database, grace_seconds=0).sweep()).requeued == []
    with psycopg.connect(database_url) as connection:
        length = connection.execute("SELECT extract(epoch FROM lease_expires_at - claimed_at) FROM jobs").fetchone()
    assert length is not None
    assert length[0] == pytest.approx(30)
    assert (await claims.renew([(job.id, 1)])).lost == frozenset()


async def test_the_sweeper_leaves_leases_alone_right_after_the_database_has_started(database: Database) -> None:
    """After an outage workers must get to renew before their jobs are taken from them."""
    await Acceptance(database).accept(new_job())
    (job,) = await worker_on(database, "w")[0].claim(1)
    await expire_lease(database, job.id)
    assert (await Sweeper(database, grace_seconds=86_400).sweep()).requeued == []
    assert (await Sweeper(database, grace_seconds=0).sweep()).requeued == [job.id]


async def test_a_cancel_and_a_result_race_and_the_first_commit_wins(database: Database, database_url: str) -> None:
    """Whoever is told `cancel_requested` must find the job cancelled; whoever came late, the result."""
    results = Results(database)
    for number in range(40):
        await Acceptance(database).accept(job := new_job())
        (claimed,) = await worker_on(database, "w")[0].claim(1)
        outcomes = Outcomes(database, worker_id="w")
        finish = outcomes.finish(claimed.id, 1, Outcome(JobStatus.SUCCEEDED))
        cancel = results.cancel(job.tenant, job.id)
        if number % 2:
            stored, state = await asyncio.gather(finish, cancel)
        else:
            state, stored = await asyncio.gather(cancel, finish)
        assert state is not None
        assert state.status == ("running" if stored == "cancelled" else "succeeded")
        assert row(database_url, job.id)["status"] == stored


async def test_cancelling_a_queued_job_and_claiming_it_race_to_one_outcome(
    database: Database, database_url: str
) -> None:
    """A job that is answered `cancelled` must never run."""
    results = Results(database)
    for _ in range(40):
        await Acceptance(database).accept(job := new_job())
        claimed, state = await asyncio.gather(worker_on(database, "w")[0].claim(1), results.cancel(job.tenant, job.id))
        assert state is not None
        assert (state.status == "cancelled") == (not claimed)
        assert row(database_url, job.id)["status"] == ("running" if claimed else "cancelled")
        for one in claimed:
            await Outcomes(database, worker_id="w").finish(one.id, 1, Outcome(JobStatus.SUCCEEDED))


async def test_a_hand_written_update_cannot_change_a_terminal_state(database_url: str, database: Database) -> None:
    """The table itself keeps the promise, even from an operator."""
    await Acceptance(database).accept(job := new_job())
    await Results(database).cancel(job.tenant, job.id)
    with psycopg.connect(database_url) as connection:
        try:
            connection.execute("UPDATE jobs SET status = 'queued', ended_at = NULL, next_removal_at = NULL")
        except psycopg.errors.IntegrityConstraintViolation:
            return
    raise AssertionError("the update went through")


def test_new_ids_are_version_7_and_in_the_order_of_time() -> None:
    """Ids that lie apart would scatter every insert over the whole index."""
    ids = [new_job_id(lambda at=at: at) for at in (1_000, 2_000, 3_000)]
    assert ids == sorted(ids)
    assert {id_.version for id_ in ids} == {7}
    assert len({new_job_id(lambda: 1) for _ in range(1_000)}) == 1_000
