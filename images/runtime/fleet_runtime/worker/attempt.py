"""One attempt at one job: run it through sandboxd, and judge how it went."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fleet_runtime.sandboxd.client import OnOutput, RunRequest, RunResult, Sandboxes, SandboxLost, SandboxRefused
from fleet_runtime.states import JobStatus
from fleet_runtime.store.records import ClaimedJob, Outcome
from fleet_runtime.tasks import end
from fleet_runtime.telemetry.traceparent import trace_id

_START_SECONDS = 120.0
"""What a start may take at the very most; sandboxd's own limit per template is far below."""

_KILL_SECONDS = 10.0
"""How long sandboxd may take to say that a killed job has ended; then the connection is closed, which destroys it."""


class Stop(StrEnum):
    """Why the worker ends a job that runs."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    DRAINED = "drained"


@dataclass
class AttemptTimes:
    """When an attempt came to what, by this host's clock, in nanoseconds since 1970."""

    claim_began_ns: int = field(default_factory=time.time_ns)
    claimed_ns: int = field(default_factory=time.time_ns)
    started_ns: int | None = None
    ran_ns: int | None = None
    warm: bool = False


@dataclass
class RunningAttempt:
    """A claimed job in this worker's hands."""

    job: ClaimedJob
    on_output: OnOutput | None = None
    kill: asyncio.Event = field(default_factory=asyncio.Event)
    reason: Stop | None = None
    started: bool = False
    times: AttemptTimes = field(default_factory=AttemptTimes)

    def stop(self, reason: Stop) -> None:
        """End it; the first reason stays, except that a lost lease overrules: nothing may be written any more."""
        if self.reason is None or reason is Stop.LEASE_LOST:
            self.reason = reason
        self.kill.set()


@dataclass(frozen=True)
class Finished:
    """The job has ended like this."""

    outcome: Outcome


@dataclass(frozen=True)
class Retried:
    """The infrastructure failed the attempt; it counts."""

    code: str
    message: str


@dataclass(frozen=True)
class HandedBack:
    """Nothing counts; the job returns to the queue, to be taken after a delay. `pause` if this worker should pause."""

    reason: str
    delay_seconds: float = 0
    pause: bool = False


@dataclass(frozen=True)
class Abandoned:
    """Another worker may have the job by now; nothing is written."""


Verdict = Finished | Retried | HandedBack | Abandoned

_FREE_REFUSALS = {"no_capacity", "shutting_down"}
"""Nothing is wrong with the job nor with a sandbox: it waits for as long as others take, as it would in the queue."""
_MOST_FREE_RETURNS = 20
"""Attempts after which a job that meets broken sandboxes again and again is counted as failed, so that it ends."""


async def run_attempt(attempt: RunningAttempt, sandboxes: Sandboxes, template: str) -> Verdict:
    """Run an attempt to its end and say what is to become of the job; raises nothing but CancelledError."""
    job = attempt.job
    request = RunRequest(
        job_id=str(job.id),
        attempt=job.attempt,
        template=template,
        timeout_seconds=job.timeout_seconds,
        payload=job.payload,
        tenant=job.tenant,
        workspace=job.workspace,
        request_id=job.request_id,
        trace_id=trace_id(job.traceparent) or "",
    )

    def on_started(warm: bool, _start_ms: float) -> None:
        attempt.started = True
        attempt.times.started_ns, attempt.times.warm = time.time_ns(), warm

    limit = _START_SECONDS + job.timeout_seconds + _KILL_SECONDS
    run = sandboxes.run(request, kill=attempt.kill, on_started=on_started, on_output=attempt.on_output)
    try:
        result = await _bounded(run, attempt.kill, limit)
    except SandboxRefused as refusal:
        return _refused(attempt, refusal)
    except (SandboxLost, TimeoutError) as error:
        started = error.started if isinstance(error, SandboxLost) else attempt.started
        return _broken(attempt, started, str(error) or "sandboxd did not answer in time")
    return _judge(attempt, result)


async def _bounded(run: Awaitable[RunResult], kill: asyncio.Event, limit_seconds: float) -> RunResult:
    """Await a run; raises TimeoutError if it outlasts the limit, or being killed."""
    running = asyncio.ensure_future(run)
    killed = asyncio.ensure_future(kill.wait())
    try:
        done, _ = await asyncio.wait({running, killed}, timeout=limit_seconds, return_when=asyncio.FIRST_COMPLETED)
        if running not in done and killed in done:
            done, _ = await asyncio.wait({running}, timeout=_KILL_SECONDS)
        if running not in done:
            raise TimeoutError
        return running.result()
    finally:
        killed.cancel()
        await end((running,))


def _refused(attempt: RunningAttempt, refusal: SandboxRefused) -> Verdict:
    if attempt.reason is not None:
        return _stopped(attempt, None)
    if refusal.code in _FREE_REFUSALS:
        return HandedBack(refusal.code, delay_seconds=0.2, pause=True)
    return Retried(refusal.code, f"no sandbox could be started: {refusal.message}")


def _broken(attempt: RunningAttempt, started: bool, message: str) -> Verdict:
    if attempt.reason is not None:
        return _stopped(attempt, None)
    if started:
        return _terminated(attempt.job, Outcome(JobStatus.FAILED), message)
    # Nothing ran: sandboxd is away, and the job is as good as it was.
    if attempt.job.attempt < _MOST_FREE_RETURNS:
        return HandedBack("sandboxd_away", delay_seconds=0.5, pause=True)
    return Retried("sandboxd_away", f"sandboxd could not be reached: {message}")


def _stopped(attempt: RunningAttempt, result: RunResult | None) -> Verdict:
    match attempt.reason:
        case Stop.CANCELLED:
            return Finished(_outcome(JobStatus.CANCELLED, result) if result else Outcome(JobStatus.CANCELLED))
        case Stop.DRAINED:
            return HandedBack("drained")
        case _:
            return Abandoned()


def _terminated(job: ClaimedJob, outcome: Outcome, message: str) -> Verdict:
    """Judge a sandbox that died after the code had started: run again only where the request allowed it."""
    if job.retry_terminated and job.failures + 1 < job.max_attempts:
        return Retried("sandbox_terminated", message)
    return Finished(_with_error(outcome, "sandbox_terminated", message))


def _judge(attempt: RunningAttempt, result: RunResult) -> Verdict:
    job = attempt.job
    if attempt.reason is Stop.LEASE_LOST:
        return Abandoned()
    match result.reason:
        case "exited":
            outcome = _outcome(JobStatus.SUCCEEDED if result.exit_code == 0 else JobStatus.FAILED, result)
            if outcome.status is JobStatus.FAILED and result.oom_killed:
                outcome = _with_error(outcome, "out_of_memory", "a process of the job was killed at its memory limit")
            return Finished(outcome)
        case "timed_out":
            outcome = _outcome(JobStatus.TIMED_OUT, result)
            return Finished(
                _with_error(
                    outcome, "timed_out", f"the program ran longer than timeout_seconds, {job.timeout_seconds:g} s"
                )
            )
        case "output_limit":
            outcome = _outcome(JobStatus.FAILED, result)
            return Finished(_with_error(outcome, "output_limit", "the program wrote more than 64 MiB of output"))
        case "cpu_limit":
            outcome = _outcome(JobStatus.FAILED, result)
            return Finished(_with_error(outcome, "cpu_limit", "the job's processes used up its processor time"))
        case "killed" if attempt.reason is not None:
            return _stopped(attempt, result)
        case _:
            message = "the sandbox died while the code ran"
            if result.oom_killed:
                message += ", at its memory limit"
            return _terminated(job, _outcome(JobStatus.FAILED, result), message)


def _outcome(status: JobStatus, result: RunResult) -> Outcome:
    return Outcome(
        status=status,
        exit_code=result.exit_code,
        signal=result.signal,
        stdout=result.stdout,
        stderr=result.stderr,
        stdout_truncated=result.stdout_truncated,
        stderr_truncated=result.stderr_truncated,
        start_ms=result.start_ms,
        run_ms=result.run_ms,
        warm=result.warm,
        max_memory_bytes=result.max_memory_bytes,
        cpu_ms=result.cpu_ms,
    )


def _with_error(outcome: Outcome, code: str, message: str) -> Outcome:
    return replace(outcome, error_code=code, error_message=message)
