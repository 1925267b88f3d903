"""How many sandboxes wait follows how jobs come: enough for a crowd, not more for ever, none where memory is short."""

import asyncio
import random
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from fleet_runtime.sandboxd import demand
from fleet_runtime.sandboxd import pool as pool_module
from fleet_runtime.sandboxd.backend import Sandbox
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.demand import FALL_SECONDS, MISS_STEP, Demand, memory_is_spare, starts_at_once
from fleet_runtime.sandboxd.pool import TemplatePool
from fleet_runtime.sandboxd.workspace import Workspace
from pretend_backend import PretendBackend, pool_of, settled
from simulated_time import run_simulated

TEN_MINUTES = 600.0
LOOK_SECONDS = 5.0
"""How often sandboxd opens its pools again."""
REMOVAL_SECONDS = 0.1
JOB_SECONDS = 0.03


class _OneAtATime(PretendBackend):
    """Makes sandboxes at a rate, as a host with its processors full does."""

    def __init__(self, rate: float, chance: random.Random) -> None:
        super().__init__()
        self._rate, self._chance, self._turn = rate, chance, asyncio.Lock()

    async def start(
        self, name: str, template_name: str, template: SandboxTemplate, workspace: Workspace | None = None
    ) -> Sandbox:
        async with self._turn:
            await asyncio.sleep(self._chance.uniform(0.5, 1.5) / self._rate)
        return await super().start(name, template_name, template, workspace)

    async def remove(self, name: str) -> None:
        await asyncio.sleep(REMOVAL_SECONDS)
        await super().remove(name)


@dataclass
class _Crowd:
    """What jobs met that came at random."""

    jobs: int = 0
    missed: int = 0
    most: int = 0
    waiting: list[int] = field(default_factory=list[int])


async def _look(pool: TemplatePool) -> None:
    while True:
        pool.open()
        await asyncio.sleep(LOOK_SECONDS)


async def _crowd(rate: float, seed: int) -> _Crowd:
    """Ten minutes of jobs that come at random, half as fast as sandboxes are made; then an hour of none."""
    chance = random.Random(seed)
    now = asyncio.get_running_loop().time
    pool = pool_of(_OneAtATime(rate, chance), warm=4, maximum=16, start_timeout_seconds=30)
    found = _Crowd()
    looking = asyncio.create_task(_look(pool))
    await asyncio.sleep(LOOK_SECONDS)

    async def job() -> None:
        sandbox = pool.take()
        if sandbox is None:
            found.missed += 1
            sandbox = await pool.wait(now() + 30)
        await asyncio.sleep(chance.expovariate(1 / JOB_SECONDS))
        pool.release(sandbox)

    until, jobs = now() + TEN_MINUTES, list[asyncio.Task[None]]()
    while now() < until:
        await asyncio.sleep(chance.expovariate(rate / 2))
        jobs.append(asyncio.create_task(job()))
        found.most = max(found.most, pool.counts["warm"])
    await asyncio.gather(*jobs)
    found.jobs = len(jobs)
    for _ in range(30):
        await asyncio.sleep(2 * FALL_SECONDS)
        found.waiting.append(pool.counts["warm"])
    looking.cancel()
    await pool.close()
    return found


@pytest.mark.parametrize("rate", [7.0, 30.0], ids=["as docker makes them", "as runc makes them"])
def test_a_crowd_at_half_the_refill_rate_finds_a_sandbox_ready(
    rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of many users come at random, so several at once now and then: with four ready each fifteenth found none."""
    plenty = tmp_path / "meminfo"
    plenty.write_text("MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    monkeypatch.setattr(demand, "_MEMORY", plenty)
    found = run_simulated(_crowd(rate, seed=6))
    assert found.jobs > 0.95 * TEN_MINUTES * rate / 2
    assert found.missed < found.jobs / 1000, found
    assert 4 < found.most <= 16
    # What was made for the crowd is given up, a little at a time: it may come again.
    assert found.waiting == sorted(found.waiting, reverse=True)
    assert found.waiting[0] > found.waiting[-1] == 4


class _Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_what_is_wanted_rises_before_anything_is_missed_and_falls_slowly() -> None:
    """After the first miss it would be too late, and what stays for ever is memory that jobs lack."""
    clock = _Clock()
    wanted = Demand(4, 8, clock, lambda: True)
    wanted.took(3)
    wanted.took(2)
    assert wanted.wanted == 4
    wanted.took(1)
    assert wanted.wanted == 5
    wanted.missed()
    assert wanted.wanted == 5 + MISS_STEP
    for _ in range(9):
        wanted.missed()
    assert wanted.wanted == 8
    clock.seconds += FALL_SECONDS - 1
    assert wanted.wanted == 8
    clock.seconds += 1
    assert wanted.wanted == 7
    clock.seconds += FALL_SECONDS - 1
    wanted.took(0)
    assert wanted.wanted == 8
    clock.seconds += 100 * FALL_SECONDS
    assert wanted.wanted == 4


def test_a_template_that_keeps_none_ready_does_so_again_after_its_jobs() -> None:
    """One that was made ahead for a job that never came stayed until sandboxd ended."""
    clock = _Clock()
    wanted = Demand(0, 1, clock, lambda: True)
    wanted.missed()
    assert wanted.wanted == 1
    clock.seconds += FALL_SECONDS
    assert wanted.wanted == 0


def test_no_more_than_the_template_says_waits_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten sandboxes that wait would be paid for by the job that the kernel kills."""
    figures = tmp_path / "meminfo"
    monkeypatch.setattr(demand, "_MEMORY", figures)
    wanted = Demand(2, 8, _Clock(), memory_is_spare)
    for text in ("MemTotal: 1000 kB\nMemAvailable: 100 kB\n", "MemTotal: 1000 kB\n", "nonsense"):
        figures.write_text(text)
        wanted.missed()
        assert wanted.wanted == 2
    figures.write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 900 kB\n")
    wanted.missed()
    assert wanted.wanted == 4


@pytest.mark.parametrize(
    ("waiting", "shared", "processors", "starts"),
    [
        (0, False, 2, 1),
        (1, False, 2, 1),
        (2, False, 2, 2),
        (9, False, 2, 3),
        (0, False, 1, 1),
        (0, False, 64, 3),
        (0, True, 1, 3),
    ],
)
def test_sandboxes_for_later_leave_processors_to_the_jobs_that_run(
    waiting: int, shared: bool, processors: int, starts: int
) -> None:
    """Three at once on two processors held up every job that came meanwhile; one that waits needs all there are."""
    assert starts_at_once(waiting, shared=shared, processors=processors) == starts


async def test_a_pool_makes_more_at_once_only_for_jobs_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that the pool does not ask for, or that holds a job back, is none or one too many."""
    monkeypatch.setattr(pool_module, "starts_at_once", partial(starts_at_once, processors=2))
    pool = pool_of(_OneAtATime(100, random.Random(1)), warm=4, maximum=8)
    pool.open()
    assert pool.counts["starting"] == 1
    waiting = [asyncio.create_task(pool.wait(asyncio.get_running_loop().time() + 5)) for _ in range(3)]
    await asyncio.sleep(0)
    assert pool.counts["starting"] == 3
    for sandbox in await asyncio.gather(*waiting):
        pool.release(sandbox)
    await settled(pool)
    await pool.close()
