"""What becomes of queued jobs whose pool was removed from the settings, and of keys that only some replicas list."""

import asyncio
from uuid import UUID

from fleet_runtime.config import BootstrapKey
from fleet_runtime.database import Database
from fleet_runtime.keys import KeyStore
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.fleet import Fleet, WorkerState
from fleet_runtime.store.stranded import StrandedJobs, Unstranded
from jobs import new_job, row, worker_on

NOTHING = Unstranded()


def api(database: Database, *templates: str, lost_seconds: float = 3_600, **homes: str) -> StrandedJobs:
    """What an API with these pools sweeps; `homes` are the default pools by tenant."""
    return StrandedJobs(database, templates=templates, homes=homes, lost_seconds=lost_seconds)


async def queue(database: Database, tenant: str, template: str) -> UUID:
    """A queued job."""
    job = new_job(tenant, template=template)
    await Acceptance(database).accept(job)
    return job.id


async def beat(database: Database, template: str, *, draining: bool = False) -> None:
    """A worker's sign of life."""
    worker = WorkerState(
        id=f"worker-{template}",
        template=template,
        concurrency=1,
        running=0,
        healthy=not draining,
        reason=None,
        draining=draining,
    )
    await Fleet(database).beat(worker)


async def let_pass(database: Database, seconds: float) -> None:
    """Let time pass for all that is noted in the database."""
    for statement in (
        "UPDATE stranded_templates SET since = since - make_interval(secs => %(seconds)s)",
        "UPDATE jobs SET available_at = available_at - make_interval(secs => %(seconds)s) WHERE status = 'queued'",
        "UPDATE workers SET heartbeat_at = heartbeat_at - make_interval(secs => %(seconds)s)",
        "UPDATE api_keys SET listed_at = listed_at - make_interval(secs => %(seconds)s)",
    ):
        await database.tuples(statement, {"seconds": seconds})


async def test_jobs_of_a_removed_pool_run_in_the_default_pool_of_their_tenant(
    database: Database, database_url: str
) -> None:
    """No worker claims a removed pool's template: they would stay queued for ever."""
    stranded = await queue(database, "alpha", "alpha-testing")
    kept = await queue(database, "alpha", "alpha-security")
    sweeper = api(database, "default", "alpha-security", alpha="default")
    assert await sweeper.sweep() == NOTHING
    before = row(database_url, stranded)
    await let_pass(database, 61)
    assert await sweeper.sweep() == Unstranded(rerouted=[stranded])
    after = row(database_url, stranded)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"template", "available_at"}
    assert row(database_url, kept)["template"] == "alpha-security"
    assert [job.id for job in await worker_on(database, "w")[0].claim(5)] == [stranded]
    assert await sweeper.sweep() == NOTHING
    assert await database.tuples("SELECT template FROM stranded_templates", {}) == []


async def test_a_job_that_a_removed_pools_drain_hands_back_finds_another_pool(
    database: Database, database_url: str
) -> None:
    """The worker of a removed pool drains: what it returns has nobody to run it, and was tried before."""
    job = await queue(database, "alpha", "default")
    claims, outcomes = worker_on(database, "w")
    await claims.claim(1)
    sweeper = api(database, "alpha-testing", alpha="alpha-testing")
    await sweeper.sweep()
    await let_pass(database, 3_600)
    assert await sweeper.sweep() == NOTHING
    await outcomes.hand_back(job, 1)
    assert await sweeper.sweep() == NOTHING
    await let_pass(database, 61)
    assert await sweeper.sweep() == Unstranded(rerouted=[job])
    assert row(database_url, job)["attempt"] == 1


async def test_a_job_of_a_tenant_without_a_pool_ends_after_a_grace_and_says_why(
    database: Database, database_url: str
) -> None:
    """A pool removed by mistake must be back in time to run its jobs; one removed for good must not leave them."""
    job = await queue(database, "alpha", "alpha-testing")
    without = api(database, "beta-testing", beta="beta-testing")
    assert await without.sweep() == NOTHING
    await let_pass(database, 3_000)
    assert await without.sweep() == NOTHING
    # The mistake is undone and made again: the grace begins anew.
    assert await api(database, "beta-testing", "alpha-testing", alpha="alpha-testing").sweep() == NOTHING
    await without.sweep()
    await let_pass(database, 3_000)
    assert await without.sweep() == NOTHING
    await let_pass(database, 601)
    assert await without.sweep() == Unstranded(ended=[job])
    ended = row(database_url, job)
    assert (ended["status"], ended["error_code"], ended["attempt"]) == ("lost", "no_pool", 0)
    assert "'alpha-testing', was removed from the fleet's settings" in ended["error_message"]
    assert ended["next_removal_at"] is not None
    assert await without.sweep() == NOTHING


async def test_an_old_replica_leaves_the_jobs_of_a_new_pool_alone(database: Database, database_url: str) -> None:
    """During a rollout its list lacks the new pool: it would send that pool's jobs to another, or end them."""
    known = await queue(database, "alpha", "alpha-new")
    foreign = await queue(database, "beta", "beta-new")
    old = api(database, "alpha-old", alpha="alpha-old", lost_seconds=60)
    new = api(database, "alpha-old", "alpha-new", "beta-new", alpha="alpha-old", beta="beta-new")
    for _ in range(10):
        assert await old.sweep() == NOTHING
        assert await new.sweep() == NOTHING
        await let_pass(database, 30)
    assert row(database_url, known)["template"] == "alpha-new"
    assert row(database_url, foreign)["status"] == "queued"


async def test_jobs_that_a_live_worker_claims_are_nobodys_business(database: Database, database_url: str) -> None:
    """A worker that takes jobs of a template stands for it, whatever a list says; one that drains takes none."""
    job = await queue(database, "alpha", "alpha-testing")
    sweeper = api(database, "default", alpha="default")
    for _ in range(5):
        await beat(database, "alpha-testing")
        assert await sweeper.sweep() == NOTHING
        await let_pass(database, 50)
    await beat(database, "alpha-testing", draining=True)
    assert await sweeper.sweep() == NOTHING
    await let_pass(database, 61)
    await beat(database, "alpha-testing", draining=True)
    assert row(database_url, job)["template"] == "alpha-testing"
    assert await sweeper.sweep() == Unstranded(rerouted=[job])


async def test_replicas_that_sweep_at_once_move_each_job_once(database: Database) -> None:
    """Two that both count a job ring twice; two that lock in another order stop each other."""
    names = [f"gone-{number}" for number in range(20)]
    moved = {await queue(database, "alpha", name) for name in names}
    lost = {await queue(database, "beta", name) for name in names}
    sweepers = [api(database, "default", lost_seconds=60, alpha="default") for _ in range(8)]
    await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))
    await let_pass(database, 61)
    swept = await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))
    rerouted = [id_ for one in swept for id_ in one.rerouted]
    ended = [id_ for one in swept for id_ in one.ended]
    assert (len(rerouted), set(rerouted)) == (20, moved)
    assert (len(ended), set(ended)) == (20, lost)


def bootstrap(tenant: str, number: int) -> BootstrapKey:
    """A key that the deployment made."""
    return BootstrapKey(tenant=tenant, key_id=f"{number:08x}", sha256=f"{number:064x}")


async def test_an_old_replica_that_restarts_leaves_a_new_teams_key_valid(database: Database) -> None:
    """Its list is the one from before: a new team would be refused until the next deployment."""
    keys, old, new = KeyStore(database), [bootstrap("alpha", 1)], [bootstrap("alpha", 1), bootstrap("beta", 2)]
    await keys.synchronise(new, 60)
    for _ in range(5):
        await let_pass(database, 30)
        await keys.keep(new, 60)
        await keys.synchronise(old, 60)
        await keys.keep(old, 60)
    assert await keys.find("00000002") is not None
    # One that an older version of the program has revoked on its way is back as well.
    await keys.synchronise(old, 0)
    await let_pass(database, 61)
    await keys.synchronise(old, 0)
    assert await keys.find("00000002") is None
    await keys.keep(new, 60)
    assert await keys.find("00000002") is not None


async def test_a_key_that_no_replica_lists_any_more_is_revoked(database: Database) -> None:
    """The key of a team that was removed must not outlive the replicas that listed it; a revoked one stays so."""
    keys, old, new = KeyStore(database), [bootstrap("alpha", 1), bootstrap("beta", 2)], [bootstrap("alpha", 1)]
    await keys.synchronise(old, 60)
    await keys.synchronise(new, 60)
    await keys.keep(new, 60)
    assert await keys.find("00000002") is not None
    await let_pass(database, 61)
    await keys.keep(new, 60)
    assert await keys.find("00000002") is None
    assert await keys.find("00000001") is not None
    await keys.revoke("00000001")
    await let_pass(database, 61)
    await keys.keep(new, 60)
    assert await keys.find("00000001") is None
