"""An attempt as spans, made once its end is written: from waiting in the queue to the sandbox and back."""

from fleet_runtime.states import JobStatus
from fleet_runtime.telemetry.tracing import Tracing
from fleet_runtime.worker.attempt import RunningAttempt

_NANOSECONDS = 1_000_000


def record_attempt(
    tracing: Tracing, attempt: RunningAttempt, status: JobStatus | None, error: str | None, ended_ns: int
) -> None:
    """Record the spans of one attempt under its request's; `ended_ns` is when the result was written."""
    job, times = attempt.job, attempt.times
    claimed_ns, ran_ns = times.claimed_ns, times.ran_ns or ended_ns
    if job.attempt == 1:
        # A later attempt waited for its backoff as well, and since when is not known here.
        waited_ns = round(job.waited_ms * _NANOSECONDS)
        tracing.record("queue wait", job.traceparent, claimed_ns - waited_ns, claimed_ns, {"job.id": str(job.id)})
    whole = tracing.begin("attempt", job.traceparent, at_ns=times.claim_began_ns)
    inside = whole.traceparent
    tracing.record("claim", inside, times.claim_began_ns, claimed_ns, {})
    if times.started_ns is not None:
        tracing.record("sandbox start", inside, claimed_ns, times.started_ns, {"warm": times.warm})
        tracing.record("run", inside, times.started_ns, ran_ns, {"language": job.language})
    else:
        tracing.record("sandbox start", inside, claimed_ns, ran_ns, {"started": False})
    tracing.record("result write", inside, ran_ns, ended_ns, {})
    about = {
        "job.id": str(job.id),
        "job.attempt": job.attempt,
        "tenant": job.tenant,
        "language": job.language,
        "status": status.value if status is not None else "refused",
    }
    failed = status in (JobStatus.FAILED, JobStatus.TIMED_OUT, JobStatus.LOST)
    whole.end(about if error is None else {**about, "error": error}, failed=failed, at_ns=ended_ns)
