"""Tenants' budgets at the store: what many workers that claim at once may take, and when more may be taken."""

import asyncio
from collections import Counter

import pytest
from fleet_runtime.config import TenantBudget
from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.states import JobStatus
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.budgets import Budgets, TenantUsage
from fleet_runtime.store.claims import Claims
from fleet_runtime.store.records import ClaimedJob, Outcome
from fleet_runtime.store.sweeping import Sweeper
from fleet_runtime.store.usage import UsageTally
from jobs import end_backoff, expire_lease, new_job, queue_many, set_limits, worker_on

WORKERS = 8


async def usage_of(database: Database, tenant: str) -> TenantUsage:
    """A tenant's usage, which must be there."""
    usage = await Budgets(database).usage(tenant)
    assert usage is not None
    return usage


async def claim_together(workers: list[Claims], slots: int) -> list[ClaimedJob]:
    """Have all workers claim at once."""
    return [job for jobs in await asyncio.gather(*(claims.claim(slots) for claims in workers)) for job in jobs]


def _workers(database: Database, templates: tuple[str, ...] = ("default",)) -> list[Claims]:
    return [
        Claims(database, worker_id=f"w{number}", template=templates[number % len(templates)], lease_seconds=30)
        for number in range(WORKERS)
    ]


async def _end(database: Database, job: ClaimedJob, worker: str, cpu_ms: float | None = None) -> None:
    outcome = Outcome(JobStatus.SUCCEEDED, cpu_ms=cpu_ms)
    assert await worker_on(database, worker)[1].finish(job.id, job.attempt, outcome)


async def test_workers_that_claim_at_once_never_run_more_than_a_tenant_may(database: Database) -> None:
    """Two workers that each see one place free must not both take it, however often they meet, and none stays free."""
    await set_limits(database, "limited", max_concurrent=5)
    await queue_many(database, "limited", 400)
    workers = _workers(database)
    for round_ in range(25):
        await claim_together(workers, 3)
        # What another worker left free because of a race is taken by the next claim.
        await claim_together(workers[:1], 5)
        rows = await database.tuples("SELECT id, attempt, worker_id FROM jobs WHERE status = 'running'", {})
        assert len(rows) == 5, f"{len(rows)} run in round {round_}"
        ending = (
            worker_on(database, worker)[1].finish(id_, attempt, Outcome(JobStatus.SUCCEEDED))
            for id_, attempt, worker in rows[: round_ % 5 + 1]
        )
        # Places are given back while others claim them.
        await asyncio.gather(*ending, claim_together(workers, 2))
        running = await database.tuples("SELECT count(*) FROM jobs WHERE status = 'running'", {})
        assert running[0][0] <= 5


async def test_a_tenants_limit_is_one_for_all_of_its_pools(database: Database) -> None:
    """A tenant with five pools must not get five times what it may run."""
    await set_limits(database, "limited", max_concurrent=4)
    templates = ("alpha", "beta")
    for template in templates:
        await queue_many(database, "limited", 50, template=template)
    workers = _workers(database, templates)
    for _ in range(10):
        await claim_together(workers, 2)
    assert (await usage_of(database, "limited")).running == 4


async def test_a_killed_workers_places_come_back_with_its_leases(database: Database) -> None:
    """A worker that is killed can give nothing back: a place that leaks is lost to its tenant for ever."""
    await set_limits(database, "limited", max_concurrent=2)
    await queue_many(database, "limited", 10)
    killed, other = worker_on(database, "killed")[0], worker_on(database, "other")[0]
    for _ in range(5):
        taken = await killed.claim(4)
        assert len(taken) == 2
        assert await other.claim(4) == []
        for job in taken:
            await expire_lease(database, job.id)
        await Sweeper(database, grace_seconds=0).sweep()
        await end_backoff(database)
        again = await other.claim(4)
        assert len(again) == 2
        for job in again:
            await _end(database, job, "other")


async def test_jobs_a_minute_are_so_many_at_once_and_then_one_after_the_other(database: Database) -> None:
    """A tenant over its rate waits its turn; time lets it go on, by itself and evenly."""
    await set_limits(database, "limited", jobs_per_minute=6)
    await queue_many(database, "limited", 40)
    workers = _workers(database)
    assert len(await claim_together(workers, 4)) == 6
    usage = await usage_of(database, "limited")
    assert usage.exhausted == ["jobs_per_minute"]
    assert usage.frees_in_seconds is not None
    assert 5 <= usage.frees_in_seconds <= 10
    await _let_pass(database, 5)
    assert await claim_together(workers, 4) == []
    await _let_pass(database, 20)
    assert len(await claim_together(workers, 4)) == 2
    await _let_pass(database, 600)
    assert len(await claim_together(workers, 4)) == 6


async def _let_pass(database: Database, seconds: float) -> None:
    """Let time pass for the rate of every tenant."""
    await database.tuples(
        "UPDATE tenant_budgets SET minute_full_at = minute_full_at - make_interval(secs => %(seconds)s)",
        {"seconds": seconds},
    )


async def test_a_clock_that_is_set_back_does_not_hold_a_tenant_up(database: Database) -> None:
    """A bucket that is full in an hour would close a tenant for an hour."""
    await set_limits(database, "limited", jobs_per_minute=6)
    await queue_many(database, "limited", 10)
    await database.tuples("UPDATE tenant_budgets SET minute_full_at = now() + interval '1 hour'", {})
    assert len(await worker_on(database, "w")[0].claim(10)) == 6
    assert await worker_on(database, "w")[0].claim(10) == []


async def test_a_days_jobs_are_counted_once_each_and_begin_anew_the_next_day(database: Database) -> None:
    """A budget that is passed by a race is none; one that does not come back is a ban."""
    await set_limits(database, "limited", jobs_per_day=10)
    await queue_many(database, "limited", 200)
    workers = _workers(database)
    for day in range(12):
        claimed = await claim_together(workers, 4)
        claimed += await claim_together(workers[:1], 10)
        assert len(claimed) == 10, f"{len(claimed)} on day {day}"
        usage = await usage_of(database, "limited")
        assert (usage.jobs_today, usage.exhausted) == (10, ["jobs_per_day"])
        assert usage.frees_in_seconds is not None
        assert 0 < usage.frees_in_seconds <= 86_400
        await database.tuples("DELETE FROM tenant_usage", {})


@pytest.mark.parametrize(("limit", "used_up"), [("jobs_per_day", 51), ("jobs_per_minute", 1)])
async def test_a_job_that_comes_back_is_not_paid_for_twice(database: Database, limit: str, used_up: int) -> None:
    """Faults of the infrastructure must not use up a tenant's budget, nor keep a job that had begun from going on."""
    await queue_many(database, "limited", 50, priority=5)
    await Acceptance(database).accept(low := new_job("limited", priority=-5))
    claims, outcomes = worker_on(database, "w")
    await set_limits(database, "limited", **{limit: 52})
    started = await claims.claim(60)
    assert len(started) == 51
    await set_limits(database, "limited", **{limit: used_up})
    await queue_many(database, "limited", 200, priority=5)
    back = [job for job in started if job.id in (low.id, started[0].id)]
    for job in back:
        await outcomes.hand_back(job.id, job.attempt)
    assert {job.id for job in await claims.claim(10)} == {job.id for job in back}
    if limit == "jobs_per_day":
        assert (await usage_of(database, "limited")).jobs_today == 51


async def test_processor_time_is_added_up_and_stops_what_has_not_begun(database: Database) -> None:
    """Few long jobs use a host as much as many short ones."""
    await set_limits(database, "limited", cpu_seconds_per_day=3)
    await queue_many(database, "limited", 10)
    claims, _ = worker_on(database, "w")
    for job in await claims.claim(2):
        await _end(database, job, "w", cpu_ms=1_400)
    (third,) = await claims.claim(1)
    assert (await usage_of(database, "limited")).exhausted == []
    await _end(database, third, "w", cpu_ms=700)
    usage = await usage_of(database, "limited")
    assert usage.cpu_seconds_today == pytest.approx(3.5)
    assert usage.exhausted == ["cpu_seconds_per_day"]
    assert await claims.claim(4) == []


async def test_a_result_that_is_stored_twice_costs_once(database: Database) -> None:
    """A worker repeats a statement whose answer was lost."""
    await set_limits(database, "limited", cpu_seconds_per_day=30)
    await queue_many(database, "limited", 1)
    (job,) = await worker_on(database, "w")[0].claim(1)
    for _ in range(3):
        await _end(database, job, "w", cpu_ms=1_000)
    assert (await usage_of(database, "limited")).cpu_seconds_today == pytest.approx(1)


async def test_what_a_tenant_without_limits_uses_is_written_together_and_survives_an_outage(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two more writes for each job would slow down everybody, for a figure that nobody waits for."""
    usage = UsageTally(database)
    claims, outcomes = worker_on(database, "w", usage=usage)
    await set_limits(database, "free", jobs_per_minute=None)
    await queue_many(database, "free", 5)
    for job in await claims.claim(5):
        assert await outcomes.finish(job.id, job.attempt, Outcome(JobStatus.SUCCEEDED, cpu_ms=200))
    assert await database.tuples("SELECT * FROM tenant_usage", {}) == []
    with monkeypatch.context() as broken:

        async def away(*_: object) -> None:
            raise DatabaseAway

        broken.setattr(database, "tuples", away)
        with pytest.raises(DatabaseAway):
            await usage.write()
    for _ in range(2):
        await usage.write()
    found = await usage_of(database, "free")
    assert (found.jobs_today, found.cpu_seconds_today) == (5, pytest.approx(1))


async def test_limited_and_unlimited_tenants_share_a_workers_slots(database: Database) -> None:
    """A limit is the most that a tenant gets, not a claim to be served first."""
    await set_limits(database, "limited", max_concurrent=100, jobs_per_minute=1_000, jobs_per_day=1_000)
    await queue_many(database, "limited", 50)
    await queue_many(database, "free", 50)
    claimed = await claim_together(_workers(database), 4)
    assert Counter(job.tenant for job in claimed) == {"limited": 16, "free": 16}
    assert {job.tenant for job in claimed if job.limited} == {"limited"}


async def test_a_limit_holds_from_the_next_claim_on_and_can_be_lowered_below_what_runs(database: Database) -> None:
    """An operator who sees a tenant take too much must not have to restart anything."""
    await queue_many(database, "tenant", 20)
    claims, _ = worker_on(database, "w")
    running = await claims.claim(6)
    await set_limits(database, "tenant", max_concurrent=2)
    assert await claims.claim(4) == []
    for job in running[:5]:
        await _end(database, job, "w")
    assert len(await claims.claim(4)) == 1
    await set_limits(database, "tenant", max_concurrent=None)
    assert len(await claims.claim(4)) == 4


async def test_settings_own_the_tenants_that_they_name_and_no_others(database: Database) -> None:
    """Two that both set a limit would undo each other's work; one that was taken out must not stay limited."""
    budgets = Budgets(database)
    await set_limits(database, "operators", max_concurrent=3)
    await set_limits(database, "taken-over", jobs_per_day=7)
    await budgets.synchronise(
        [TenantBudget(tenant="named", max_concurrent=5), TenantBudget(tenant="taken-over", jobs_per_minute=9)]
    )
    assert not await budgets.set("named", {"max_concurrent": 50})
    assert not await budgets.set("unknown", {"max_concurrent": 50})
    taken = await usage_of(database, "taken-over")
    assert (taken.listed, taken.jobs_per_minute, taken.jobs_per_day) == (True, 9, None)
    await budgets.synchronise([TenantBudget(tenant="taken-over", jobs_per_minute=9)])
    named = await usage_of(database, "named")
    assert (named.listed, named.max_concurrent) == (False, None)
    assert await budgets.set("named", {"max_concurrent": 50})
    assert (await usage_of(database, "operators")).max_concurrent == 3


async def test_old_usage_is_forgotten(database: Database) -> None:
    """A table that grows with every day of every tenant is a leak."""
    await database.tuples(
        "INSERT INTO tenant_usage SELECT 't', (now() AT TIME ZONE 'UTC')::date - days, 0, 1, 1"
        " FROM unnest(%(days)s::int[]) AS days",
        {"days": [0, 1, 31, 32, 400]},
    )
    await Sweeper(database, grace_seconds=0).sweep()
    assert await database.tuples("SELECT count(*) FROM tenant_usage", {}) == [(3,)]
