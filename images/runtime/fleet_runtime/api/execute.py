"""`POST /execute`: accept a job, and wait for its end if asked to."""

import asyncio
import time
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from fleet_runtime.api.answers import json_answer, problems, result_answer, shown, waited_headers
from fleet_runtime.api.intake import IntakeJob, read_job
from fleet_runtime.api.models import AcceptedJob
from fleet_runtime.api.pools import HEADER
from fleet_runtime.api.problems import Problem, invalid, over_budget, unavailable
from fleet_runtime.api.runtime import ApiRuntime, Caller, Runtime
from fleet_runtime.api.waiting import wait_preference
from fleet_runtime.database import DatabaseAway
from fleet_runtime.doorbell import Bell
from fleet_runtime.identifiers import new_job_id
from fleet_runtime.keys import Identity
from fleet_runtime.states import JobStatus
from fleet_runtime.store.acceptance import IdempotencyConflict
from fleet_runtime.store.records import Accepted, NewJob
from fleet_runtime.telemetry.traceparent import trace_id

log = structlog.get_logger()
router = APIRouter()

_PARSED_ASIDE_BYTES = 128 * 1024
"""Bodies above this are parsed in a thread, so that one client's files do not delay everyone."""

PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "`wait=N`: answer with the result if the job ends within N seconds, 60 at most",
}


@router.post(
    "/execute",
    status_code=202,
    summary="Accept a job",
    response_class=Response,
    responses={
        200: {
            **result_answer("The job ended while the request waited"),
            "headers": waited_headers(Location="where the result is"),
        },
        202: {
            "model": AcceptedJob,
            "description": "The job and its inputs are committed",
            "headers": waited_headers(Location="where the result will be"),
        },
        **problems(401, 408, 413, 422, 429, 503),
    },
    openapi_extra={
        "parameters": [PREFER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
    },
)
async def execute(request: Request, runtime: Runtime, caller: Caller) -> Response:
    """Accept a job: 202 once it is committed, or 200 with its result if `Prefer: wait=N` was sent and it ended in time.

    Going away while waiting does not cancel the job.
    """
    seconds = wait_preference(request.headers.getlist("prefer"))
    if runtime.waiters.closed:
        raise unavailable("The service is stopping; another process, or this one restarted, will accept the job.")
    started = time.monotonic()
    id_ = new_job_id()
    with runtime.waiters.watch(id_) as ended:
        accepted = await _take(request, runtime, caller, id_)
        if accepted.created and seconds:
            await _wait(ended, seconds - (time.monotonic() - started))
    if seconds is None:
        return _accepted(accepted, None)
    return await _result(runtime, caller.tenant, accepted, seconds, started)


async def _take(request: Request, runtime: ApiRuntime, caller: Identity, id_: UUID) -> Accepted:
    """Read, validate and commit a job; nothing of its inputs is held in memory once this returns."""
    try:
        named = request.headers.get(HEADER)
        if named is not None:
            # Before the body is read: a job that has nowhere to go need not arrive.
            runtime.routes.template(caller.tenant, named)
        async with runtime.bodies.read(request) as body:
            intake = await _parse(body, runtime)
            template = runtime.routes.of_job(caller.tenant, named, intake.agent)
            return await _accept(_job(id_, intake, caller, runtime, request, template), runtime)
    except Problem as problem:
        runtime.metrics.refused.labels(problem.kind).inc()
        raise


async def _parse(body: bytes, runtime: ApiRuntime) -> IntakeJob:
    if len(body) > _PARSED_ASIDE_BYTES:
        return await asyncio.to_thread(read_job, body, runtime.settings)
    return read_job(body, runtime.settings)


def _job(
    id_: UUID, intake: IntakeJob, caller: Identity, runtime: ApiRuntime, request: Request, template: str
) -> NewJob:
    settings = runtime.settings
    return NewJob(
        id=id_,
        tenant=caller.tenant,
        template=template,
        language=intake.language,
        payload=intake.payload,
        agent=intake.agent,
        workspace=intake.workspace,
        # An agent's job says in its body what the header says.
        body_sha256=intake.body_sha256
        if intake.agent is not None
        else runtime.routes.request_sha256(intake.body_sha256, request.headers.get(HEADER)),
        request_id=request.scope.get("fleet.request_id", ""),
        traceparent=request.scope.get("fleet.traceparent"),
        timeout_seconds=intake.timeout_seconds,
        max_attempts=intake.max_attempts,
        retry_terminated=intake.retry_terminated,
        priority=intake.priority,
        idempotency_key=intake.idempotency_key,
        result_ttl_seconds=settings.result_ttl_seconds,
        tombstone_ttl_seconds=settings.tombstone_ttl_seconds,
    )


async def _accept(job: NewJob, runtime: ApiRuntime) -> Accepted:
    try:
        if not await runtime.budget.allows(job.tenant, job.template):
            # A repeated request adds nothing to the queue.
            existing = await runtime.acceptance.existing(job)
            if existing is None:
                raise over_budget(runtime.budget.limit, await runtime.budget.retry_after_seconds(job.tenant))
            return existing
        if (full := await runtime.workspaces.problem(job)) is not None:
            existing = await runtime.acceptance.existing(job)
            if existing is None:
                raise full
            return existing
        accepted = await runtime.acceptance.accept(job)
    except IdempotencyConflict:
        message = "was used for another body; send a new key, or the same body to get the same job"
        raise invalid([("idempotency_key", message)]) from None
    if accepted.created:
        runtime.doorbell.ring(Bell.QUEUED, [job.id], job.template)
        runtime.budget.accepted(job.tenant, job.template)
        runtime.metrics.accepted.labels(job.language).inc()
        log.info(
            "job_accepted",
            job=str(job.id),
            tenant=job.tenant,
            language=job.language,
            request_id=job.request_id,
            trace_id=trace_id(job.traceparent),
        )
    return accepted


async def _wait(ended: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        pass


async def _result(runtime: ApiRuntime, tenant: str, accepted: Accepted, seconds: int, started: float) -> Response:
    """Answer with the result, or with 202: the job is committed, and nothing that fails from here on may deny it."""
    try:
        stored = await wait_for_end(runtime, tenant, accepted.id, started + seconds)
    except DatabaseAway:
        return _accepted(accepted, seconds)
    if stored["status"] in ("queued", "running"):
        return _accepted(Accepted(accepted.id, JobStatus(stored["status"]), accepted.created), seconds)
    return json_answer(stored, headers=_headers(accepted.id, seconds))


async def wait_for_end(runtime: ApiRuntime, tenant: str, id_: UUID, deadline: float) -> dict[str, Any]:
    """Return the job when it has ended or the deadline (monotonic seconds) has passed; raises Problem, DatabaseAway."""
    while True:
        with runtime.waiters.watch(id_) as ended:
            stored = shown(await runtime.results.get(tenant, id_))
            remaining = deadline - time.monotonic()
            if stored["status"] not in ("queued", "running") or remaining <= 0 or runtime.waiters.closed:
                return stored
            await _wait(ended, remaining)


def _accepted(accepted: Accepted, seconds: int | None) -> Response:
    content = {"id": str(accepted.id), "status": accepted.status}
    return json_answer(content, status=202, headers=_headers(accepted.id, seconds))


def _headers(id_: UUID, seconds: int | None) -> dict[str, str]:
    headers = {"Location": f"/result/{id_}"}
    return headers if seconds is None else {**headers, "Preference-Applied": f"wait={seconds}"}
