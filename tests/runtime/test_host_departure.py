"""A host that goes: the worker is told to drain in time, and the hook is completed by the last worker, once."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from emulated_ec2 import EmulatedEc2, Instance, emulated_ec2
from fleet_runtime.config import WorkerSettings
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.worker import host_departure
from fleet_runtime.worker.drain_limit import DrainLimit
from fleet_runtime.worker.host_departure import HAND_BACK_SECONDS, SPOT_SECONDS, HostDeparture

_DRAIN_SECONDS = 600.0
_WAIT_SECONDS = 30.0


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Generator[EmulatedEc2]:
    """EC2, as far as an instance talks to it; credentials come from nowhere else."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    with emulated_ec2() as served:
        yield served
        assert served.problems == []


@pytest.fixture
def instance(ec2: EmulatedEc2) -> Instance:
    """An instance of this test's own."""
    return ec2.launch()


@dataclass
class Leaving:
    """One worker's departure, without the worker."""

    departure: HostDeparture
    limit: DrainLimit
    stopping: asyncio.Event
    metrics: WorkerMetrics
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def drains(self) -> None:
        """Wait until the worker is to drain."""
        async with asyncio.timeout(_WAIT_SECONDS):
            await self.stopping.wait()

    async def settled(self) -> None:
        """Wait until the process may end."""
        async with asyncio.timeout(_WAIT_SECONDS):
            await self.departure.settle(self.told)


@asynccontextmanager
async def leaving(ec2: EmulatedEc2, instance: Instance, folder: Path, **settings: Any) -> AsyncGenerator[Leaving]:
    """A departure that looks ten times a second."""
    told = {name.lower(): value for name, value in ec2.environment(instance).items()}
    values: dict[str, Any] = {
        "database_url": "postgresql://x",
        "drain_seconds": _DRAIN_SECONDS,
        "sandboxd_socket": str(folder / "sandboxd.sock"),
        "host_notices_seconds": 0.1,
        "lifecycle_heartbeat_seconds": 0.05,
        **told,
        "FLEET_METADATA_ENDPOINT": told["metadata_endpoint"],
        "FLEET_AUTOSCALING_ENDPOINT": told["autoscaling_endpoint"],
        **settings,
    }
    given = WorkerSettings.model_validate(values)
    limit, stopping, metrics = DrainLimit(_DRAIN_SECONDS), asyncio.Event(), WorkerMetrics()
    departure = HostDeparture.of(given, limit, stopping, metrics)
    running = asyncio.create_task(departure.run())
    try:
        yield Leaving(departure, limit, stopping, metrics)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await departure.close()


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that happens in the server's thread."""
    async with asyncio.timeout(_WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - it is another thread's
            await asyncio.sleep(0.02)


async def nothing_for_a_while(awaited: Awaitable[Any]) -> None:
    """Make sure that something has not happened after several looks."""
    waiting = asyncio.ensure_future(awaited)
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done
    if waiting is not awaited:
        waiting.cancel()


async def test_an_interruption_leaves_time_to_hand_back(ec2: EmulatedEc2, instance: Instance, tmp_path: Path) -> None:
    """Jobs that go on until the last second are lost with their host, and cost an attempt each."""
    async with leaving(ec2, instance, tmp_path) as left:
        await left.departure.first_look()
        assert not left.stopping.is_set()
        instance.interrupt(100)
        await left.drains()
        assert 0 < left.limit.seconds_left <= 100 - HAND_BACK_SECONDS


@pytest.mark.parametrize(("seconds", "most"), [(86_400, SPOT_SECONDS - HAND_BACK_SECONDS), (10, 0), (-60, 0)])
async def test_a_clock_that_is_wrong_makes_no_interruption_later_than_it_can_be(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path, seconds: float, most: float
) -> None:
    """A host whose clock is behind would believe that it has an hour."""
    instance.interrupt(seconds)
    async with leaving(ec2, instance, tmp_path) as left:
        await left.drains()
        assert left.limit.seconds_left <= most


async def test_a_recommendation_lets_jobs_end_until_the_interruption_comes(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path
) -> None:
    """An interruption may come an hour later or never: until then no job needs to be cut off."""
    async with leaving(ec2, instance, tmp_path) as left:
        instance.recommend_rebalance()
        await left.drains()
        assert math.isinf(left.limit.seconds_left)
        instance.interrupt(60)
        await until(lambda: left.limit.seconds_left <= 60 - HAND_BACK_SECONDS)


async def test_a_recommendation_is_ignored_where_that_is_set(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path
) -> None:
    """A group that does not replace such hosts would have them idle for as long as they live."""
    async with leaving(ec2, instance, tmp_path, rebalance="ignore") as left:
        instance.recommend_rebalance()
        await left.departure.first_look()
        await nothing_for_a_while(left.stopping.wait())
        instance.interrupt()
        await left.drains()


async def test_the_hook_is_kept_waiting_while_jobs_run_and_completed_after(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path
) -> None:
    """A hook that runs out while a job runs ends the job; one that is not completed keeps the host for its time-out."""
    instance.target("Terminated")
    async with leaving(ec2, instance, tmp_path) as left:
        await left.drains()
        assert _DRAIN_SECONDS - 5 < left.limit.seconds_left <= _DRAIN_SECONDS
        await until(lambda: instance.heartbeats >= 3)
        assert not instance.completed.is_set()
        settling = asyncio.create_task(left.settled())
        await until(instance.completed.is_set)
        await nothing_for_a_while(settling)
        left.told.set()
        await settling


async def test_the_last_worker_of_a_host_completes_its_hook(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path
) -> None:
    """The first one to be done would end the host under the others' jobs."""
    instance.target("Terminated")
    async with leaving(ec2, instance, tmp_path) as first, leaving(ec2, instance, tmp_path) as second:
        await first.drains()
        await second.drains()
        settling = asyncio.create_task(first.settled())
        await nothing_for_a_while(asyncio.to_thread(instance.completed.wait, 1))
        others = asyncio.create_task(second.settled())
        await until(instance.completed.is_set)
        first.told.set()
        second.told.set()
        await asyncio.gather(settling, others)


async def test_a_hook_is_tried_again_where_it_was_refused(ec2: EmulatedEc2, instance: Instance, tmp_path: Path) -> None:
    """Auto Scaling throttles when many hosts go together, which is when many hosts go together."""
    ec2.refusing = 400, "Throttling"
    instance.target("Terminated")
    async with leaving(ec2, instance, tmp_path) as left:
        await left.drains()
        settling = asyncio.create_task(left.settled())
        await nothing_for_a_while(asyncio.to_thread(instance.completed.wait, 1))
        ec2.refusing = None
        await until(instance.completed.is_set)
        left.told.set()
        await settling


async def test_a_hook_that_waits_no_more_is_left_alone(ec2: EmulatedEc2, instance: Instance, tmp_path: Path) -> None:
    """An operator who completes it by hand, or its time-out, must not have the worker ask for ever."""
    instance.target("Terminated")
    instance.waits_at_hook = False
    async with leaving(ec2, instance, tmp_path) as left:
        await left.drains()
        left.told.set()
        await left.settled()
        assert not instance.completed.is_set()


async def test_a_signal_that_comes_before_the_notice_completes_the_hook(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path
) -> None:
    """A host that shuts down signals its workers; the notice may have come since they last looked."""
    async with leaving(ec2, instance, tmp_path, host_notices_seconds=30) as left:
        await left.departure.first_look()
        instance.target("Terminated")
        left.told.set()
        await left.settled()
        assert instance.completed.is_set()


async def test_a_restart_completes_no_hook(ec2: EmulatedEc2, instance: Instance, tmp_path: Path) -> None:
    """A worker that is replaced by a newer version leaves a host that stays."""
    async with leaving(ec2, instance, tmp_path) as left:
        await left.departure.first_look()
        left.told.set()
        await left.settled()
        assert not instance.completed.is_set()
        assert instance.heartbeats == 0


async def test_a_worker_ends_where_its_host_stays_after_all(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path
) -> None:
    """A host that comes back from standby, or from the warm pool, would be there and do nothing."""
    instance.target("Standby")
    async with leaving(ec2, instance, tmp_path) as left:
        await left.drains()
        assert math.isinf(left.limit.seconds_left)
        settling = asyncio.create_task(left.settled())
        await nothing_for_a_while(settling)
        instance.target("InService")
        await settling


async def test_a_host_that_cannot_be_asked_takes_jobs_and_is_counted(
    ec2: EmulatedEc2, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metadata service that is away is a reason for an alert, not for a fleet that stands still."""
    monkeypatch.setattr(host_departure, "_FIRST_LOOK_SECONDS", 0.2)
    instance.failing_with = 503
    async with leaving(ec2, instance, tmp_path) as left:
        await left.departure.first_look()
        assert not left.stopping.is_set()
        counted = left.metrics.registry.get_sample_value
        await until(lambda: (counted("host_notice_failures_total") or 0) >= 1)
        instance.failing_with = None
        instance.interrupt()
        await left.drains()
        assert counted("host_notices_total", {"notice": "spot_interruption"}) == 1


async def test_a_limit_only_ever_comes_nearer() -> None:
    """A recommendation after an interruption would give jobs time that they do not have."""
    limit = DrainLimit(60)
    limit.at_most(10)
    limit.at_most(math.inf)
    limit.at_most()
    assert limit.seconds_left <= 10
    endless = asyncio.create_task(asyncio.Event().wait())
    waiting = asyncio.create_task(limit.let_end([endless]))
    await nothing_for_a_while(waiting)
    limit.at_most(0)
    async with asyncio.timeout(_WAIT_SECONDS):
        await waiting
    endless.cancel()
