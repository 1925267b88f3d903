"""A host that has come: its group hears so once jobs can run on it, whatever fails on the way."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from emulated_ec2 import LAUNCH_HOOK, EmulatedEc2, Instance, emulated_ec2
from fleet_runtime.config import WorkerSettings
from fleet_runtime.sandboxd.client import PoolCount, Sandboxes, SandboxLost, TemplateCount
from fleet_runtime.worker import host_arrival
from fleet_runtime.worker.host_arrival import HostArrival
from pydantic import ValidationError

_WAIT_SECONDS = 30.0
_WELL = PoolCount(True, None, {"default": TemplateCount(1, 0, 0, 4)})


class Counted:
    """What sandboxd says of itself, changed by the test."""

    def __init__(self) -> None:
        """Not there yet."""
        self.found: PoolCount | None = None
        self.asked = asyncio.Event()

    async def count(self) -> PoolCount:
        """As sandboxd's client."""
        self.asked.set()
        if self.found is None:
            raise SandboxLost("nobody listens", started=False)
        return self.found


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Generator[EmulatedEc2]:
    """EC2, as far as an instance talks to it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(host_arrival, "_RETRY_SECONDS", 0.05)
    with emulated_ec2() as served:
        yield served
        assert served.problems == []


@pytest.fixture
def instance(ec2: EmulatedEc2) -> Instance:
    """An instance that waits at the hook of its launch."""
    made = ec2.launch()
    made.waits_to_launch = True
    return made


def worker_settings(ec2: EmulatedEc2, instance: Instance) -> WorkerSettings:
    """What the worker on it is told."""
    told = {name.lower(): value for name, value in ec2.environment(instance).items()}
    values: dict[str, Any] = {"database_url": "postgresql://x", **told, "launch_hook": LAUNCH_HOOK}
    values["FLEET_METADATA_ENDPOINT"], values["FLEET_AUTOSCALING_ENDPOINT"] = instance.endpoint, ec2.autoscaling
    return WorkerSettings.model_validate(values)


@asynccontextmanager
async def arriving(ec2: EmulatedEc2, instance: Instance, sandboxes: Counted) -> AsyncGenerator["asyncio.Task[None]"]:
    """The arrival at work."""
    arrival = HostArrival.of(worker_settings(ec2, instance), cast("Sandboxes", sandboxes))
    assert arrival is not None
    running = asyncio.create_task(arrival.run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await arrival.close()


async def test_a_host_counts_once_its_sandboxes_are_well_and_not_before(ec2: EmulatedEc2, instance: Instance) -> None:
    """Hosts that run nothing would take the places of those that work, as EC2 calls both well."""
    sandboxes = Counted()
    async with arriving(ec2, instance, sandboxes) as running, asyncio.timeout(_WAIT_SECONDS):
        for found in (None, PoolCount(False, "no Docker", _WELL.templates), PoolCount(True, None, {})):
            sandboxes.found = found
            for _ in range(2):
                sandboxes.asked.clear()
                await sandboxes.asked.wait()
        assert not instance.launched.is_set()
        sandboxes.found = _WELL
        await running
        assert instance.launched.is_set()


async def test_a_refusal_is_tried_again_until_the_group_has_heard(ec2: EmulatedEc2, instance: Instance) -> None:
    """A host that works would be ended twenty minutes later, and the next one too."""
    sandboxes = Counted()
    sandboxes.found = _WELL
    ec2.refusing = (503, "ServiceUnavailable")
    instance.failing_with = 500
    async with arriving(ec2, instance, sandboxes) as running, asyncio.timeout(_WAIT_SECONDS):
        await sandboxes.asked.wait()
        done, _ = await asyncio.wait({running}, timeout=0.5)
        assert not done
        instance.failing_with = None
        ec2.refusing = None
        await running
        assert instance.launched.is_set()


async def test_a_worker_that_starts_again_finds_that_nothing_waits(
    ec2: EmulatedEc2, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ask for ever, or end the process that has jobs."""
    monkeypatch.setattr(host_arrival, "_GRACE_SECONDS", 0.2)
    instance.waits_to_launch = False
    sandboxes = Counted()
    sandboxes.found = _WELL
    async with arriving(ec2, instance, sandboxes) as running, asyncio.timeout(_WAIT_SECONDS):
        await running
    assert not instance.completed.is_set()


async def test_a_host_that_is_up_before_its_group_says_so_again(ec2: EmulatedEc2, instance: Instance) -> None:
    """One from a warm pool would be ended although it works: nothing waited yet when it said so."""
    instance.waits_to_launch = False
    sandboxes = Counted()
    sandboxes.found = _WELL
    async with arriving(ec2, instance, sandboxes) as running, asyncio.timeout(_WAIT_SECONDS):
        done, _ = await asyncio.wait({running}, timeout=0.5)
        assert not done
        instance.waits_to_launch = True
        await running
    assert instance.launched.is_set()


def test_a_hook_without_its_group_is_refused(ec2: EmulatedEc2, instance: Instance) -> None:
    """Every host would be ended, twenty minutes after its start."""
    with pytest.raises(ValidationError, match="FLEET_LAUNCH_HOOK needs FLEET_LIFECYCLE_GROUP"):
        WorkerSettings.model_validate({"database_url": "postgresql://x", "launch_hook": LAUNCH_HOOK})
