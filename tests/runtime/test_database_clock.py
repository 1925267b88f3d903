"""Clocks that jump and databases that are away: no lease is lost for that reason alone."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fleet_runtime.database import Database, DatabaseAway
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.database_clock import DatabaseClock
from fleet_runtime.store.fleet import Fleet, WorkerState
from fleet_runtime.store.sweeping import Sweeper
from jobs import expire_lease, new_job, opened, row, worker_on
from psycopg import sql

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

# Found before the built-in function of that name, by every statement on a new connection.
_SHIFTED = """
CREATE SCHEMA shifted;
CREATE TABLE shifted.clock (by interval NOT NULL);
INSERT INTO shifted.clock VALUES ('0');
CREATE FUNCTION shifted.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT pg_catalog.now() + (SELECT by FROM shifted.clock)';
"""


class Times:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        """Begin somewhere."""
        self.seconds = 1_000.0

    def __call__(self) -> float:
        """What it shows."""
        return self.seconds


@pytest.fixture
def shifted_url(database_url: str) -> str:
    """A database whose clock can be set."""
    name = sql.Identifier(database_url.rpartition("/")[2])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_SHIFTED)
        path = sql.SQL("ALTER DATABASE {} SET search_path = shifted, pg_catalog, public")
        connection.execute(path.format(name))
    return database_url


def set_clock(url: str, by: str) -> None:
    """Set the database's clock, relative to the true time."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE shifted.clock SET by = %s::interval", (by,))


@pytest.fixture
async def shifted(shifted_url: str) -> AsyncGenerator[Database]:
    """Connections that see the clock as it is set."""
    database = Database(shifted_url, application_name="test", connections=4, timeout_seconds=10)
    await opened(database)
    yield database
    await database.close()


@pytest.mark.parametrize("by", ["1 hour", "40 seconds"])
async def test_a_clock_that_jumps_forward_takes_no_job_from_a_worker_that_renews(
    shifted: Database, shifted_url: str, by: str
) -> None:
    """A time server's correction must not make the whole fleet run its jobs twice."""
    await Acceptance(shifted).accept(new_job())
    claims, _ = worker_on(shifted, "w", lease_seconds=30)
    (job,) = await claims.claim(1)
    times = Times()
    sweeper = Sweeper(shifted, grace_seconds=20, clock=times)
    times.seconds += 21
    await sweeper.sweep()
    set_clock(shifted_url, by)
    for _ in range(3):
        times.seconds += 5
        assert (await sweeper.sweep()).requeued == []
    assert (await claims.renew([(job.id, 1)])).lost == frozenset()
    times.seconds += 20
    assert (await sweeper.sweep()).requeued == []
    assert row(shifted_url, job.id)["attempt"] == 1


async def test_a_clock_that_jumps_forward_forgets_no_drain_that_an_operator_asked_for(
    shifted: Database, shifted_url: str
) -> None:
    """A worker on a host that is being worked on would take jobs again, as would one after a long outage."""
    fleet = Fleet(shifted)
    worker = WorkerState("w", "default", 1, 0, healthy=True, reason=None, draining=False)
    await fleet.beat(worker)
    assert await fleet.request_drain("w", wanted=True)
    times = Times()
    sweeper = Sweeper(shifted, grace_seconds=20, clock=times)
    times.seconds += 21
    await sweeper.sweep()
    set_clock(shifted_url, "2 hours")
    await sweeper.sweep()
    assert await fleet.beat(worker)
    times.seconds += 21
    await sweeper.sweep()
    assert await fleet.drains_requested() == {"w"}


async def test_a_dead_workers_job_comes_back_in_spite_of_a_jump(shifted: Database, shifted_url: str) -> None:
    """What is held back for the living must not be held back for ever."""
    await Acceptance(shifted).accept(new_job())
    (job,) = await worker_on(shifted, "w", lease_seconds=30)[0].claim(1)
    sweeper = Sweeper(shifted, grace_seconds=0)
    await sweeper.sweep()
    set_clock(shifted_url, "1 hour")
    await sweeper.sweep()
    # The first sweep after it saw the jump; from now on the clock goes as it should.
    assert row(shifted_url, job.id)["status"] == "queued" or (await sweeper.sweep()).requeued == [job.id]


async def test_a_clock_that_is_set_back_keeps_no_job_waiting(shifted: Database, shifted_url: str) -> None:
    """A dead worker's lease, and a job's next attempt, would be as far away as the clock was wrong."""
    set_clock(shifted_url, "1 hour")
    for _ in range(2):
        await Acceptance(shifted).accept(new_job())
    claims, outcomes = worker_on(shifted, "w", lease_seconds=30)
    dead, failed = await claims.claim(2)
    await outcomes.retry(failed.id, 1, error_code="start_failed", error_message="")
    sweeper = Sweeper(shifted, grace_seconds=0)
    await sweeper.sweep()
    set_clock(shifted_url, "0")
    await sweeper.sweep()
    await sweeper.sweep()
    with psycopg.connect(shifted_url) as connection:
        found = connection.execute(
            "SELECT extract(epoch FROM lease_expires_at - now())::float FROM jobs WHERE id = %s", (dead.id,)
        ).fetchone()
    assert found is not None
    assert found[0] <= 120
    assert [each.id for each in await claims.claim(1)] == [failed.id]


async def test_after_an_absence_of_the_database_workers_renew_before_leases_are_judged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that hung for a minute comes back with every lease expired, and every worker alive."""
    await Acceptance(database).accept(new_job())
    (job,) = await worker_on(database, "w")[0].claim(1)
    times = Times()
    sweeper = Sweeper(database, grace_seconds=20, clock=times)
    times.seconds += 21
    await sweeper.sweep()
    with monkeypatch.context() as broken:

        async def away(*_: object) -> None:
            raise DatabaseAway

        broken.setattr(database, "tuples", away)
        with pytest.raises(DatabaseAway):
            await sweeper.sweep()
    await expire_lease(database, job.id)
    assert (await sweeper.sweep()).requeued == []
    times.seconds += 19
    assert (await sweeper.sweep()).requeued == []


def test_a_clock_that_goes_as_it_should_is_believed_after_the_grace() -> None:
    """Each sweep has to judge leases in ordinary times, slow answers included."""
    times = Times()
    clock = DatabaseClock(20, times)
    assert clock.latest(times(), _NOON) is None
    for second in range(5, 60, 5):
        asked = times.seconds = 1_000.0 + second
        times.seconds += 3.0
        shown = _NOON + timedelta(seconds=second + 1.5)
        assert (clock.latest(asked, shown) is not None) == (second >= 20)
        assert clock.went_back
