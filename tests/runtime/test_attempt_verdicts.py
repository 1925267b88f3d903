"""What becomes of an attempt that no sandbox was there for."""

import uuid
from dataclasses import dataclass

import pytest
from fleet_runtime.sandboxd.client import PoolCount, RunRequest, RunResult, SandboxRefused
from fleet_runtime.store.records import ClaimedJob
from fleet_runtime.worker.attempt import HandedBack, Retried, RunningAttempt, run_attempt


@dataclass
class Refusing:
    """Sandboxes that refuse every job by this code."""

    code: str

    async def run(self, request: RunRequest, **_: object) -> RunResult:
        """Refuse."""
        raise SandboxRefused(self.code, f"no sandbox for {request.job_id}")

    async def count(self) -> PoolCount:
        """Nobody asks."""
        raise NotImplementedError

    async def metrics(self) -> str:
        """Nobody asks."""
        raise NotImplementedError


def claimed(attempt: int) -> RunningAttempt:
    """A job that was claimed so many times."""
    return RunningAttempt(
        ClaimedJob(
            id=uuid.uuid4(),
            attempt=attempt,
            failures=0,
            max_attempts=3,
            retry_terminated=False,
            tenant="tenant",
            language="python",
            request_id="",
            timeout_seconds=1,
            waited_ms=0,
            payload=b"",
        )
    )


@pytest.mark.parametrize("attempt", [1, 20, 1_000])
async def test_a_job_that_others_leave_no_sandbox_for_is_handed_back_however_often(attempt: int) -> None:
    """Long jobs, or draining workers, may hold every pod for an hour: a job that waits for them must not be lost."""
    verdict = await run_attempt(claimed(attempt), Refusing("no_capacity"), "default")
    assert isinstance(verdict, HandedBack)


async def test_a_job_whose_sandbox_does_not_start_is_counted() -> None:
    """Something is wrong then, and a job must end."""
    assert isinstance(await run_attempt(claimed(1), Refusing("start_failed"), "default"), Retried)
