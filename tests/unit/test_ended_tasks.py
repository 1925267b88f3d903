"""Tasks that are told to end do, also those which lose what they are told."""

import asyncio

import pytest
from fleet_runtime import tasks


async def _deaf(times: int) -> None:
    """Go on after so many cancellations, as code does that catches too much."""
    for _ in range(times):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    await asyncio.Event().wait()


async def _failing() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError("on its way out")


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_task_that_loses_cancellations_is_cancelled_again(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One such task kept a worker, and with it a host, from ever going."""
    monkeypatch.setattr(tasks, "_AGAIN_SECONDS", 0.01)
    deaf = asyncio.create_task(_deaf(times))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await tasks.end((deaf,))
    assert deaf.cancelled()


async def test_tasks_that_have_ended_or_fail_are_no_obstacle() -> None:
    """What a task raises while it ends belongs to nobody, and must not keep others from ending."""
    ended, failing, waiting = (asyncio.create_task(each) for each in (asyncio.sleep(0), _failing(), _deaf(0)))
    await ended
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await tasks.end((ended, failing, waiting))
    assert (ended.cancelled(), failing.cancelled(), waiting.cancelled()) == (False, False, True)


async def test_nothing_to_end_is_over_at_once() -> None:
    """A worker without sandboxes of its own has no background tasks."""
    await tasks.end(())
