"""What is told of an attempt once its end is written: figures, and a line in the log."""

import time

import structlog

from fleet_runtime.states import JobStatus
from fleet_runtime.store.records import ClaimedJob, Outcome
from fleet_runtime.telemetry.metrics import WorkerMetrics
from fleet_runtime.telemetry.traceparent import trace_id
from fleet_runtime.telemetry.tracing import Tracing
from fleet_runtime.worker.attempt import Finished, Retried, RunningAttempt, Verdict
from fleet_runtime.worker.attempt_spans import record_attempt

log = structlog.get_logger()


class AttemptReport:
    """Reports each attempt once."""

    def __init__(self, metrics: WorkerMetrics, tracing: Tracing | None) -> None:
        """Count in these metrics, and record spans where there is a tracing."""
        self._metrics = metrics
        self._tracing = tracing

    def ended(self, attempt: RunningAttempt, verdict: Verdict, status: JobStatus | None) -> None:
        """Report what became of an attempt; `status` is None where it was not this worker's any more."""
        job = attempt.job
        outcome = verdict.outcome if isinstance(verdict, Finished) else None
        error = outcome.error_code if outcome else getattr(verdict, "code", getattr(verdict, "reason", None))
        if status is not None and status.terminal:
            self._metrics.executions.labels(job.language, status.value).inc()
            # A retried attempt's failure was counted by its cause.
            if status is not JobStatus.SUCCEEDED and not isinstance(verdict, Retried):
                self._metrics.failures.labels((outcome and outcome.error_code) or status.value).inc()
        if outcome is not None:
            self._measure(job, outcome)
        if self._tracing is not None:
            record_attempt(self._tracing, attempt, status, error, time.time_ns())
        log.info(
            "attempt_ended",
            job=str(job.id),
            attempt=job.attempt,
            tenant=job.tenant,
            language=job.language,
            request_id=job.request_id,
            trace_id=trace_id(job.traceparent),
            verdict=type(verdict).__name__.lower(),
            status=status,
            error=error,
            start_ms=outcome and outcome.start_ms,
            run_ms=outcome and outcome.run_ms,
        )

    def _measure(self, job: ClaimedJob, outcome: Outcome) -> None:
        if outcome.run_ms is not None:
            self._metrics.execution_seconds.labels(job.language).observe(outcome.run_ms / 1000)
        if outcome.start_ms is not None:
            self._metrics.start_seconds.labels(str(outcome.warm).lower()).observe(outcome.start_ms / 1000)
        if outcome.max_memory_bytes is not None:
            self._metrics.memory_bytes.observe(outcome.max_memory_bytes)
        if outcome.cpu_ms is not None:
            self._metrics.cpu_seconds.observe(outcome.cpu_ms / 1000)
