"""What a fleet says of jobs, as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent_fleet_client.errors import AnswerError

UNENDED = frozenset({"queued", "running"})
"""The states that a job leaves again; every other is its last."""


@dataclass(frozen=True)
class JobError:
    """Why a job did not succeed, where it was not its program's own doing."""

    code: str
    message: str


@dataclass(frozen=True)
class Result:
    """A job and, once it has ended, its result.

    `status` is queued, running, succeeded, failed, timed_out, cancelled or lost. `exit_code` is None unless the program
    exited. Of each output the first MiB is there; bytes that are not UTF-8 are U+FFFD.
    """

    id: str
    status: str
    attempt: int
    exit_code: int | None
    signal: str | None
    stdout: str
    stderr: str
    stdout_truncated: bool
    stderr_truncated: bool
    queued_ms: float | None
    start_ms: float | None
    run_ms: float | None
    warm: bool | None
    error: JobError | None
    document: Mapping[str, Any]
    """The fleet's own answer, with whatever a newer one adds."""

    @property
    def ended(self) -> bool:
        """Whether the job has ended, and this will not change."""
        return self.status not in UNENDED

    @property
    def succeeded(self) -> bool:
        """Whether its program ended with exit code 0."""
        return self.status == "succeeded"


@dataclass(frozen=True)
class JobSummary:
    """A job in a list. Times are the database's, with their zone."""

    id: str
    status: str
    language: str | None
    priority: int
    attempt: int
    exit_code: int | None
    cancel_requested: bool
    created_at: datetime
    claimed_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    document: Mapping[str, Any]
    """The fleet's own answer, with whatever a newer one adds."""


@dataclass(frozen=True)
class Usage:
    """A tenant's budget and what is used of it; a limit that is None is none. A day is one of UTC.

    `exhausted` names the limits that keep queued jobs from beginning now.
    """

    tenant: str
    queued: int
    queue_limit: int
    running: int
    max_concurrent: int | None
    jobs_per_minute: int | None
    jobs_today: int
    jobs_per_day: int | None
    cpu_seconds_today: float
    cpu_seconds_per_day: int | None
    resets_at: datetime
    exhausted: tuple[str, ...]
    document: Mapping[str, Any]
    """The fleet's own answer, with whatever a newer one adds."""


def read_result(document: Any) -> Result:
    """Read a result; raises AnswerError for anything else."""
    given = _object(document)
    error = given.get("error")
    try:
        return Result(
            id=given["id"],
            status=given["status"],
            attempt=given["attempt"],
            exit_code=given["exit_code"],
            signal=given["signal"],
            stdout=given["stdout"],
            stderr=given["stderr"],
            stdout_truncated=given["stdout_truncated"],
            stderr_truncated=given["stderr_truncated"],
            queued_ms=given["queued_ms"],
            start_ms=given["start_ms"],
            run_ms=given["run_ms"],
            warm=given["warm"],
            error=None if error is None else JobError(str(error["code"]), str(error["message"])),
            document=given,
        )
    except (KeyError, TypeError) as wrong:
        raise AnswerError(f"The fleet's answer is not a result: {_reason(wrong)}.") from None


def read_summary(document: Any) -> JobSummary:
    """Read an entry of a list; raises AnswerError for anything else."""
    given = _object(document)
    try:
        return JobSummary(
            id=given["id"],
            status=given["status"],
            language=given.get("language"),
            priority=given["priority"],
            attempt=given["attempt"],
            exit_code=given["exit_code"],
            cancel_requested=given["cancel_requested"],
            created_at=datetime.fromisoformat(given["created_at"]),
            claimed_at=_time(given["claimed_at"]),
            ended_at=_time(given["ended_at"]),
            expires_at=_time(given["expires_at"]),
            document=given,
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise AnswerError(f"The fleet's answer is not a list of jobs: {_reason(wrong)}.") from None


def read_usage(document: Any) -> Usage:
    """Read a tenant's usage; raises AnswerError for anything else."""
    given = _object(document)
    try:
        limits, today = given["limits"], given["today"]
        return Usage(
            tenant=given["tenant"],
            queued=given["queued"],
            queue_limit=limits["queue"],
            running=given["running"],
            max_concurrent=limits["max_concurrent"],
            jobs_per_minute=limits["jobs_per_minute"],
            jobs_today=today["jobs"],
            jobs_per_day=limits["jobs_per_day"],
            cpu_seconds_today=today["cpu_seconds"],
            cpu_seconds_per_day=limits["cpu_seconds_per_day"],
            resets_at=datetime.fromisoformat(today["resets_at"]),
            exhausted=tuple(given["exhausted"]),
            document=given,
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise AnswerError(f"The fleet's answer is not a tenant's usage: {_reason(wrong)}.") from None


def _reason(wrong: Exception) -> str:
    return f"{wrong} is missing" if isinstance(wrong, KeyError) else str(wrong)


def _object(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise AnswerError("The fleet's answer is not a JSON object: is the address that of a fleet?")
    return document  # pyright: ignore[reportUnknownVariableType]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
