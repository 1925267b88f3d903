"""What goes into the jobs table and what comes out of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleet_runtime.states import JobStatus


@dataclass(frozen=True)
class NewJob:
    """A validated job, ready to be stored. `body_sha256` is over everything in the request but its idempotency key."""

    id: UUID
    tenant: str
    template: str
    language: str
    payload: bytes
    body_sha256: bytes
    request_id: str
    timeout_seconds: float
    max_attempts: int
    retry_terminated: bool
    priority: int
    idempotency_key: str | None
    result_ttl_seconds: int
    tombstone_ttl_seconds: int
    traceparent: str | None = None
    agent: str | None = None
    workspace: str | None = None


@dataclass(frozen=True)
class Accepted:
    """The job that a request led to: a new one, or the one that its idempotency key belongs to."""

    id: UUID
    status: JobStatus
    created: bool


@dataclass(frozen=True)
class ClaimedJob:
    """One attempt at a job, leased to one worker.

    `waited_ms` is the time since the job was accepted; `watched` is whether somebody follows its output by now.
    """

    id: UUID
    attempt: int
    failures: int
    max_attempts: int
    retry_terminated: bool
    tenant: str
    language: str
    request_id: str
    timeout_seconds: float
    waited_ms: float
    payload: bytes
    limited: bool = False
    watched: bool = False
    traceparent: str | None = None
    workspace: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended a job. Nothing but the two outputs comes from inside the sandbox."""

    status: JobStatus
    exit_code: int | None = None
    signal: str | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    start_ms: float | None = None
    run_ms: float | None = None
    warm: bool | None = None
    max_memory_bytes: int | None = None
    cpu_ms: float | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True)
class StoredResult:
    """A job as `GET /result/{id}` shows it."""

    id: UUID
    status: str
    attempt: int
    exit_code: int | None
    signal: str | None
    stdout: bytes | None
    stderr: bytes | None
    stdout_truncated: bool
    stderr_truncated: bool
    queued_ms: float | None
    start_ms: float | None
    run_ms: float | None
    warm: bool | None
    error_code: str | None
    error_message: str | None
    cancel_requested: bool
    expired: bool


@dataclass(frozen=True)
class ResultOutline(StoredResult):
    """A job without its outputs, and how long they are."""

    stdout_bytes: int
    stderr_bytes: int


@dataclass(frozen=True)
class ListedJob:
    """A job as `GET /jobs` shows it."""

    id: UUID
    seq: int
    status: str
    language: str
    agent: str | None
    workspace: str | None
    priority: int
    attempt: int
    exit_code: int | None
    cancel_requested: bool
    created_at: datetime
    claimed_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
