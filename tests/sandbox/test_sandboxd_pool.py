"""The pool's rules, on a backend that makes nothing: never over the maximum, never the same sandbox twice."""

import asyncio
import contextlib

import pytest
from fleet_runtime.sandboxd.backend import BackendError, Sandbox
from fleet_runtime.sandboxd.pool import TemplatePool
from fleet_runtime.sandboxd.refused import RefusedError
from hypothesis import given, settings
from hypothesis import strategies as st
from pretend_backend import PretendBackend, pool_of, settled
from sandbox_daemon import MEBIBYTE, eventually
from structlog.contextvars import bind_contextvars


@settings(max_examples=30, deadline=None)
@given(
    maximum=st.integers(1, 5),
    steps=st.lists(st.sampled_from(["take", "wait", "release", "die", "fail", "turn"]), max_size=40),
    data=st.data(),
)
def test_no_sequence_of_events_breaks_the_pools_rules(maximum: int, steps: list[str], data: st.DataObject) -> None:
    """More than the maximum starves the host; a sandbox used twice mixes two tenants."""
    warm = data.draw(st.integers(0, maximum))

    async def check() -> None:
        backend = PretendBackend()
        pool = pool_of(backend, warm=warm, maximum=maximum)
        pool.open()
        held: list[Sandbox] = []
        handed_out: set[str] = set()

        def received(sandbox: Sandbox) -> None:
            assert sandbox.name not in handed_out
            assert not sandbox.ended.is_set()
            handed_out.add(sandbox.name)
            held.append(sandbox)

        for step in steps:
            if step == "take" and (sandbox := pool.take()) is not None:
                received(sandbox)
            elif step == "wait" and len(held) < maximum:
                with contextlib.suppress(RefusedError):
                    received(await pool.wait(asyncio.get_running_loop().time() + 0.05))
            elif step == "release" and held:
                pool.release(held.pop())
            elif step == "die" and backend.existing:
                next(iter(backend.existing.values())).abort()
            elif step == "fail":
                backend.failures.append(BackendError("it would not"))
            for _ in range(3):
                await asyncio.sleep(0)
            counts = pool.counts
            assert sum(counts[state] for state in ("warm", "starting", "running", "removing")) <= maximum
            assert backend.most <= maximum
        await pool.close()
        assert backend.existing == {}
        assert pool.known == set()

    asyncio.run(check())


async def test_the_pool_refills_after_a_sandbox_was_taken() -> None:
    """The next job must find one ready too."""
    pool = pool_of(PretendBackend(), warm=2, maximum=4)
    pool.open()
    await settled(pool)
    taken = pool.take()
    assert taken is not None
    await settled(pool)
    assert pool.counts["warm"] == 2
    assert pool.counts["running"] == 1
    await pool.close()


async def test_the_log_names_no_job_for_a_sandbox_that_is_not_its() -> None:
    """Whoever looks for a job's lines would be told of faults that were never its own."""
    backend = PretendBackend()
    pool = pool_of(backend, warm=1, maximum=4)
    pool.open()
    await settled(pool)
    sandboxes: list[Sandbox] = []

    async def job() -> None:
        bind_contextvars(job="one")
        for _ in range(2):
            sandboxes.append(await pool.wait(asyncio.get_running_loop().time() + 5))

    await asyncio.create_task(job())
    await settled(pool)
    for sandbox in backend.existing.values():
        sandbox.abort()
    await settled(pool)
    pool.release(sandboxes[0])
    await settled(pool)
    assert backend.named == {}
    await pool.close()


async def test_waiting_jobs_are_served_in_order() -> None:
    """A job must not be overtaken for ever."""
    pool = pool_of(PretendBackend(), warm=0, maximum=1, start_timeout_seconds=5)
    pool.open()
    order: list[int] = []

    async def job(number: int) -> None:
        sandbox = await pool.wait(asyncio.get_running_loop().time() + 5)
        order.append(number)
        pool.release(sandbox)

    await asyncio.gather(*(job(number) for number in range(6)))
    assert order == list(range(6))
    await pool.close()


async def test_a_start_that_fails_once_is_tried_again_for_the_waiting_job() -> None:
    """A hiccup of Docker is not a job's failure."""
    backend = PretendBackend()
    backend.failures.append(BackendError("it hiccuped"))
    pool = pool_of(backend, warm=0, maximum=1)
    pool.open()
    sandbox = await pool.wait(asyncio.get_running_loop().time() + 5)
    assert sandbox.name in backend.existing
    await pool.close()


async def test_a_lasting_fault_refuses_at_once_with_its_reason() -> None:
    """Waiting for an image that nobody loads only hides what is wrong."""
    backend = PretendBackend()
    backend.failures = [BackendError("no such image", lasting=True) for _ in range(3)]
    pool = pool_of(backend, warm=0, maximum=1, start_timeout_seconds=60)
    pool.open()
    with pytest.raises(RefusedError, match="no such image") as refusal:
        await pool.wait(asyncio.get_running_loop().time() + 60)
    assert refusal.value.code == "start_failed"
    await pool.close()


async def test_a_job_that_stops_waiting_leaves_no_sandbox_taken() -> None:
    """A place given to nobody would be lost until the next restart."""
    pool = pool_of(PretendBackend(), warm=0, maximum=1)
    pool.open()
    waiting = asyncio.ensure_future(pool.wait(asyncio.get_running_loop().time() + 5))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await settled(pool)
    assert pool.counts["running"] == 0
    await pool.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"warm": 5, "maximum": 4}, "raise maximum or lower warm"),
        ({"scratch_bytes": 65 * MEBIBYTE}, "scratch is memory"),
        ({"runtime": "../runc"}, "pattern"),
        ({"pids": 1}, "greater than or equal to 16"),
        ({"mounts": []}, "Extra inputs"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(changes: dict[str, object], said: str) -> None:
    """A wrong limit must be found at the start, not by the first hostile job."""
    with pytest.raises(ValueError, match=said):
        pool_of(PretendBackend(), **changes)


async def test_a_job_that_waits_for_a_stock_that_is_in_use_is_not_counted_as_failed() -> None:
    """Other workers hold what there is: that is no fault, and must not use up the job's attempts."""
    backend = PretendBackend(shared=True)
    pool = pool_of(backend, warm=0, maximum=1)
    backend.failures = [BackendError("all are in use", shortage=True) for _ in range(20)]
    backend.short = "all are in use"
    pool.open()
    with pytest.raises(RefusedError, match="all are in use") as refusal:
        await pool.wait(asyncio.get_running_loop().time() + 0.3)
    assert refusal.value.code == "no_capacity"
    await pool.close()


async def test_a_pool_on_a_shared_stock_keeps_its_warm_ones_and_no_more() -> None:
    """What one worker keeps beyond its due, the others lack."""
    pool = pool_of(PretendBackend(shared=True), warm=1, maximum=5)
    pool.open()
    for _ in range(20):
        sandbox = await pool.wait(asyncio.get_running_loop().time() + 5)
        pool.release(sandbox)
    await settled(pool)
    assert pool.counts["warm"] == 1
    await pool.close()


async def test_a_pool_that_keeps_none_warm_releases_its_idle_ones_and_still_serves_jobs() -> None:
    """A worker may drain for an hour: pods that it keeps claimed all the while are what its successor lacks."""
    backend = PretendBackend(shared=True)
    pool = pool_of(backend, warm=3, maximum=6)
    pool.open()
    await settled(pool)
    running = pool.take()
    assert running is not None
    pool.keep_warm(False)
    assert pool.counts["warm"] == 0

    async def released() -> bool:
        return set(backend.existing) == {running.name} and pool.counts["starting"] == pool.counts["removing"] == 0

    await eventually(released, 5, f"the idle ones to be released: {pool.counts}")
    # The backend is looked at every few seconds, which opens the pool again each time.
    pool.open()
    late = await pool.wait(asyncio.get_running_loop().time() + 5)
    pool.release(late)
    await eventually(released, 5, f"nothing to be kept after a job: {pool.counts}")
    pool.release(running)
    await eventually(lambda: _nothing(pool, backend), 5, "the last one to be released")
    pool.open()
    assert pool.counts["starting"] == 0
    await pool.close()


async def test_a_sandbox_that_becomes_ready_after_that_is_not_kept() -> None:
    """A start that is under way when the worker begins to drain would leave one claimed for good."""
    backend = PretendBackend(shared=True)
    pool = pool_of(backend, warm=2, maximum=4)
    pool.open()
    assert pool.counts["starting"] == 2
    pool.keep_warm(False)
    await eventually(lambda: _nothing(pool, backend), 5, "what was being started to be released")
    assert pool.counts["warm"] == 0
    await pool.close()


async def _nothing(pool: TemplatePool, backend: PretendBackend) -> bool:
    return not backend.existing and pool.counts["starting"] == pool.counts["removing"] == 0


async def test_a_sandbox_that_becomes_ready_between_looking_and_waiting_is_not_waited_past() -> None:
    """Prevents a job that waits, and loses an attempt, beside the one sandbox there may be, which idles."""
    pool = pool_of(PretendBackend(), warm=1, maximum=1)
    pool.open()
    assert pool.take() is None
    await settled(pool)
    sandbox = await pool.wait(asyncio.get_running_loop().time() + 0.3)
    assert pool.counts["running"] == 1
    pool.release(sandbox)
    await pool.close()
