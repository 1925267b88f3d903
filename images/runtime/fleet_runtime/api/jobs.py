"""`GET /result/{id}`, `GET /jobs` and `DELETE /jobs/{id}`: a tenant's own jobs, and nobody else's."""

import base64
import binascii
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from fleet_runtime.api.answers import job_id, json_answer, listed, problems, result_answer, shown, waited_headers
from fleet_runtime.api.execute import PREFER, wait_for_end
from fleet_runtime.api.models import CancelledJob, JobPage
from fleet_runtime.api.problems import expired, invalid, not_found
from fleet_runtime.api.runtime import Caller, Runtime
from fleet_runtime.api.waiting import wait_preference
from fleet_runtime.doorbell import Bell
from fleet_runtime.states import JobStatus

router = APIRouter()

_NEWEST = 2**63 - 1


@router.get(
    "/result/{id}",
    summary="A job's result",
    response_class=Response,
    responses={
        200: {**result_answer("The result, or the job's state so far"), "headers": waited_headers()},
        **problems(401, 404, 410, 503),
    },
    openapi_extra={"parameters": [PREFER]},
)
async def result(request: Request, id: str, runtime: Runtime, caller: Caller) -> Response:
    """Return a job; with `Prefer: wait=N`, once it has ended or N seconds have passed."""
    seconds = wait_preference(request.headers.getlist("prefer"))
    if seconds is None:
        return json_answer(shown(await runtime.results.get(caller.tenant, job_id(id))))
    stored = await wait_for_end(runtime, caller.tenant, job_id(id), time.monotonic() + seconds)
    return json_answer(stored, headers={"Preference-Applied": f"wait={seconds}"})


@router.get(
    "/jobs",
    summary="The tenant's jobs",
    response_class=Response,
    responses={200: {"model": JobPage, "description": "Newest first"}, **problems(401, 422, 503)},
)
async def list_jobs(
    runtime: Runtime,
    caller: Caller,
    status: Annotated[list[JobStatus] | None, Query(description="only jobs in one of these states")] = None,
    language: Annotated[str | None, Query(max_length=50, description="only jobs of this language")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=50, description="`next_cursor` of the page before")] = None,
) -> Response:
    """Return the tenant's jobs whose results have not expired, newest first."""
    if language is not None and "\0" in language:
        raise invalid([("language", "holds a NUL character, which is not allowed in text")])
    # One more than asked for tells whether anything follows.
    found = await runtime.results.list(
        caller.tenant, before=_before(cursor), limit=limit + 1, statuses=status, language=language
    )
    following = _cursor(found[limit - 1].seq) if len(found) > limit else None
    return json_answer({"jobs": [listed(job) for job in found[:limit]], "next_cursor": following})


@router.delete(
    "/jobs/{id}",
    summary="Cancel a job",
    response_class=Response,
    responses={
        200: {"model": CancelledJob, "description": "It was queued and is cancelled, or had ended and stays as it is"},
        202: {"model": CancelledJob, "description": "It is running; its worker stops it within two seconds"},
        **problems(401, 404, 410, 503),
    },
)
async def cancel(id: str, runtime: Runtime, caller: Caller) -> Response:
    """Cancel a job. Whatever is committed first, its end or the cancel, stays."""
    identifier = job_id(id)
    state = await runtime.results.cancel(caller.tenant, identifier)
    if state is None:
        raise not_found()
    if state.expired:
        raise expired()
    if not state.status.terminal:
        runtime.doorbell.ring(Bell.CANCEL, [identifier])
        return json_answer({"id": str(identifier), "status": "cancel_requested"}, status=202)
    if state.changed:
        runtime.doorbell.ring(Bell.ENDED, [identifier])
    return json_answer({"id": str(identifier), "status": state.status})


def _cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(seq.to_bytes(8)).decode().rstrip("=")


def _before(cursor: str | None) -> int:
    if cursor is None:
        return _NEWEST
    try:
        raw = base64.b64decode(cursor + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 8 or not 0 < int.from_bytes(raw) <= _NEWEST:
        raise invalid(
            [("cursor", f"{cursor!r} is not a `next_cursor` of this list; leave it out to start at the newest job")]
        )
    return int.from_bytes(raw)
