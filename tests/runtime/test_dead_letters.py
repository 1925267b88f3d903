"""Jobs that the infrastructure failed for good: kept, shown without their inputs, and run again once."""

import asyncio
import json
import os
import subprocess
import sys
from uuid import UUID

import pytest
from fleet_runtime.database import Database
from fleet_runtime.payload import encode
from fleet_runtime.schema import jobs as jobs_table
from fleet_runtime.states import JobStatus
from fleet_runtime.store.acceptance import Acceptance
from fleet_runtime.store.dead_letters import COPIED, DeadLetters
from fleet_runtime.store.records import NewJob, Outcome
from fleet_runtime.store.results import Results
from fleet_runtime.store.sweeping import Sweeper
from jobs import end_backoff, expire_lease, new_job, row, worker_on

SECRET = "the-secret-in-the-code"
BODY = encode("python", f"print('{SECRET}')", b"secret-stdin", {"data.bin": b"\xff\x00", "a.txt": b"text"})
# What becomes of a job, rather than what was asked for.
OF_ITS_OWN = {
    *("id", "seq", "status", "attempt", "failures", "cancel_requested", "idempotency_key", "created_at"),
    *("available_at", "claimed_at", "worker_id", "lease_expires_at", "ended_at", "exit_code", "signal", "stdout"),
    *("stderr", "stdout_truncated", "stderr_truncated", "start_ms", "run_ms", "warm", "max_memory_bytes", "cpu_ms"),
    *("error_code", "error_message", "next_removal_at", "expired", "replayed_as", "replayed_from", "traceparent"),
}


async def lose(database: Database, job: NewJob) -> NewJob:
    """Accept a job and have its workers die until it is lost."""
    await Acceptance(database).accept(job)
    for _ in range(job.max_attempts):
        await end_backoff(database)
        (claimed,) = await worker_on(database, "dying")[0].claim(1)
        assert claimed.id == job.id
        await expire_lease(database, job.id)
        await Sweeper(database, grace_seconds=0).sweep()
    return job


async def end(database: Database, job: NewJob, outcome: Outcome) -> NewJob:
    """Accept a job and have it end like this."""
    await Acceptance(database).accept(job)
    claims, outcomes = worker_on(database, "w")
    (claimed,) = await claims.claim(1)
    await outcomes.finish(claimed.id, claimed.attempt, outcome)
    return job


def run(url: str, *arguments: str) -> tuple[int, str, str]:
    """Run the command as an operator does; returns its exit code and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "fleet_runtime", "dead-letters", *arguments],
        env={**os.environ, "FLEET_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


async def test_what_the_infrastructure_failed_is_a_dead_letter_and_what_failed_by_itself_is_none(
    database: Database,
) -> None:
    """An operator who looks through programs' own failures finds nothing; one who misses a lost job loses it."""
    lost = await lose(database, new_job("a"))
    broken = await end(database, new_job("b"), Outcome(JobStatus.FAILED, error_code="sandbox_terminated"))
    for outcome in (
        Outcome(JobStatus.SUCCEEDED, exit_code=0),
        Outcome(JobStatus.FAILED, exit_code=1),
        Outcome(JobStatus.FAILED, error_code="out_of_memory"),
        Outcome(JobStatus.FAILED, error_code="output_limit"),
        Outcome(JobStatus.TIMED_OUT, error_code="timed_out"),
        Outcome(JobStatus.CANCELLED),
    ):
        await end(database, new_job("a"), outcome)
    letters = DeadLetters(database)
    assert [each.id async for each in letters.list()] == [lost.id, broken.id]
    assert [each.id async for each in letters.list(tenant="b")] == [broken.id]
    assert [each.id async for each in letters.list(since=3_600.0)] == [lost.id, broken.id]
    await database.tuples("UPDATE jobs SET ended_at = now() - interval '2 hours' WHERE id = %(id)s", {"id": lost.id})
    assert [each.id async for each in letters.list(since=3_600.0)] == [broken.id]


async def test_many_dead_letters_are_listed_each_once(database: Database) -> None:
    """A list that stops at its first page hides what is behind it."""
    await database.tuples(
        """
        INSERT INTO jobs (id, tenant, template, language, status, priority, max_attempts, retry_terminated,
                          timeout_seconds, body_sha256, request_id, result_ttl_seconds, tombstone_ttl_seconds,
                          ended_at, next_removal_at)
        SELECT gen_random_uuid(), 't', 'default', 'python', 'lost', 0, 3, false, 60, '', '', 3600, 3600, now(),
               now() + interval '1 hour'
        FROM generate_series(1, 1000)
        """,
        {},
    )
    listed = [each.seq async for each in DeadLetters(database).list()]
    assert len(listed) == 1_000
    assert listed == sorted(set(listed))


async def test_a_replayed_job_is_a_new_one_with_the_same_input_and_is_made_once(
    database: Database, database_url: str
) -> None:
    """Two operators, or one who repeats a command, must not run a stranger's job twice by mistake."""
    job = await lose(database, new_job("a", body=BODY, priority=7, max_attempts=1, idempotency_key="key"))
    letters = DeadLetters(database)
    made = [new_id for new_id in await asyncio.gather(*(letters.replay(job.id) for _ in range(6))) if new_id]
    assert len(made) == 1
    old, new = row(database_url, job.id), row(database_url, made[0])
    assert old["replayed_as"] == made[0]
    assert (new["replayed_from"], new["status"], new["attempt"], new["failures"]) == (job.id, "queued", 0, 0)
    assert new["idempotency_key"] is None
    for column in COPIED.split(", "):
        assert new[column] == old[column], column
    (claimed,) = await worker_on(database, "w")[0].claim(5)
    assert (claimed.id, bytes(claimed.payload)) == (made[0], BODY)
    again = await letters.replay(job.id, again=True)
    assert again not in (None, made[0])


def test_every_column_of_a_job_is_either_asked_for_or_of_its_own() -> None:
    """A column that is added and not thought of here would make a replayed job another one."""
    assert set(jobs_table.columns.keys()) == {*COPIED.split(", "), *OF_ITS_OWN}


async def test_jobs_that_still_run_succeeded_or_expired_are_not_replayed(database: Database, database_url: str) -> None:
    """A job that is no dead letter has nothing to repair."""
    letters = DeadLetters(database)
    gone = await lose(database, new_job("a"))
    await database.tuples("UPDATE jobs SET next_removal_at = now() WHERE id = %(id)s", {"id": gone.id})
    done = await end(database, new_job("a"), Outcome(JobStatus.SUCCEEDED))
    await Acceptance(database).accept(queued := new_job("a"))
    for id_ in (gone.id, done.id, queued.id, UUID(int=1)):
        assert await letters.replay(id_, again=True) is None
        code, _, complaint = run(database_url, "replay", str(id_))
        assert code == 1
        assert "is no dead letter" in complaint


async def test_an_input_goes_with_its_result_and_never_before_its_job_has_ended(database: Database) -> None:
    """Inputs that stay are a leak of strangers' code; one that goes too early is a job that cannot run."""
    ended = await lose(database, new_job("a", result_ttl_seconds=0))
    await Acceptance(database).accept(queued := new_job("a"))
    (running,) = await worker_on(database, "w")[0].claim(1)
    assert running.id == queued.id
    await Acceptance(database).accept(waiting := new_job("a"))
    await database.tuples("UPDATE jobs SET created_at = now() - interval '1 year'", {})
    await Sweeper(database, grace_seconds=0).sweep()
    kept = {id_ for (id_,) in await database.tuples("SELECT job_id FROM job_inputs", {})}
    assert kept == {queued.id, waiting.id}
    stored = await Results(database).get("a", ended.id)
    assert stored is not None
    assert stored.expired


async def test_the_command_shows_no_code_unless_asked_and_replays_a_tenants_all(
    database: Database, database_url: str
) -> None:
    """What a stranger's program holds is nobody's business until an operator says so."""
    jobs = [await lose(database, new_job("a", body=BODY)) for _ in range(3)]
    other = await lose(database, new_job("b", body=BODY))
    code, listed, _ = run(database_url, "list", "--tenant", "a", "--since", "1h")
    assert code == 0
    assert [line.split()[0] for line in listed.splitlines()] == [str(job.id) for job in jobs]
    # Longer ago than PostgreSQL can count, which is still only "all of them".
    assert run(database_url, "list", "--tenant", "a", "--since", "999999999999d") == (0, listed, "")
    code, shown, _ = run(database_url, "show", str(jobs[0].id))
    assert code == 0
    assert "worker_lost" in shown
    assert SECRET not in listed + shown
    assert "secret-stdin" not in listed + shown
    code, shown, _ = run(database_url, "show", "--with-input", str(jobs[0].id))
    body = json.loads(shown[shown.index("{") :])
    assert (code, body["stdin"], body["files"]["data.bin"]) == (0, "secret-stdin", {"base64": "/wA="})
    assert SECRET in body["code"]
    code, replayed, _ = run(database_url, "replay", "--all", "--tenant", "a")
    assert code == 0
    assert [line.split()[0] for line in replayed.splitlines()] == [str(job.id) for job in jobs]
    code, replayed, complaint = run(database_url, "replay", str(jobs[0].id))
    assert (code, replayed) == (1, "")
    assert "--again" in complaint
    assert run(database_url, "replay", "--all", "--tenant", "a")[1] == ""
    assert len(await worker_on(database, "w")[0].claim(10)) == 3
    assert [each.id async for each in DeadLetters(database).list(tenant="b")] == [other.id]


@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["replay", "--all"], ["replay", "--all", "--tenant", "a", str(UUID(int=1))], ["show", "x"], []],
)
def test_a_command_that_is_called_wrongly_says_how_and_does_nothing(arguments: list[str]) -> None:
    """`--all` without a tenant would run every tenant's failed jobs again."""
    code, _, complaint = run("postgresql://nobody@127.0.0.1:1/none", *arguments)
    assert code == 2
    assert "usage:" in complaint
    assert "Traceback" not in complaint


async def test_a_job_that_failed_waits_longer_each_time_and_not_as_long_as_others(database: Database) -> None:
    """Jobs of a host that died must neither come back in the same moment nor hammer what is broken."""
    waits: dict[int, set[float]] = {}
    for _ in range(6):
        await Acceptance(database).accept(new_job("a", max_attempts=10))
    claims, outcomes = worker_on(database, "w")
    for failures in range(9):
        await end_backoff(database)
        for job in await claims.claim(10):
            assert await outcomes.retry(job.id, job.attempt, error_code="e", error_message="m") == "queued"
        waits[failures] = {
            wait
            for (wait,) in await database.tuples(
                "SELECT extract(epoch FROM available_at - statement_timestamp())::float8 FROM jobs", {}
            )
        }
    for failures, found in waits.items():
        longest = min(60.0, 0.5 * 2**failures)
        assert len(found) == 6
        # What the machine took in between makes them shorter, never longer.
        assert max(found) <= longest
        if failures >= 6:
            assert longest / 2 - 10 <= min(found)
