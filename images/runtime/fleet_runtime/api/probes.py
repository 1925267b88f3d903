"""`/health` and `/ready`: for whoever watches the process, without a key."""

import asyncio
import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from fleet_runtime.api.answers import json_answer, problems
from fleet_runtime.api.models import Health, Readiness
from fleet_runtime.api.problems import unavailable
from fleet_runtime.api.readiness import FRESH_SECONDS, judge
from fleet_runtime.api.runtime import ApiRuntime, Runtime
from fleet_runtime.database import DatabaseAway

router = APIRouter()

_REMEMBERED_SECONDS = 0.5
_SLOW_SECONDS = 0.5
"""What takes a few milliseconds. Jobs still run then, so it is said without the fleet being less ready."""


@router.get("/health", summary="Alive", response_class=Response, responses={200: {"model": Health}})
async def health() -> Response:
    """Say that this process lives; asks nobody else, so a database that is away does not get the API restarted."""
    return json_answer({"status": "ok"})


@router.get(
    "/ready",
    summary="Can accept and can run",
    response_class=Response,
    responses={
        200: {"model": Readiness, "description": "Jobs are accepted, and a worker can run them"},
        **problems(503),
    },
)
async def ready(request: Request, runtime: Runtime) -> Response:
    """Say whether jobs can be accepted and run; if not, 503 with the reasons."""
    state = await readiness(request, runtime)
    if not state.ready:
        raise unavailable("; ".join(state.reasons), {"reasons": state.reasons})
    return json_answer(state)


@router.get("/accepting", include_in_schema=False)
async def accepting(runtime: Runtime) -> Response:
    """Say whether requests may be sent here: also while no worker is, for jobs are queued and results kept then.

    For what routes to several of these. By `/ready` it would cut all of them off when a fleet's workers are away.
    """
    reason = _not_accepting(runtime)
    if reason is not None:
        raise unavailable(reason, {"reasons": [reason]})
    return json_answer({"status": "ok"})


def _not_accepting(runtime: ApiRuntime) -> str | None:
    if runtime.waiters.closed:
        return "the API is stopping"
    if not runtime.prepared.is_set():
        return "the database cannot be reached yet, or its schema is not in place"
    return None


async def readiness(request: Request, runtime: ApiRuntime) -> Readiness:
    """Return the state, at most half a second old: anyone may ask, and each question costs the database one."""
    reason = _not_accepting(runtime)
    if reason is not None:
        return Readiness(ready=False, workers=0, reasons=[reason])
    state = request.app.state
    if not hasattr(state, "readiness_lock"):
        state.readiness_lock, state.readiness = asyncio.Lock(), (float("-inf"), None)
    async with state.readiness_lock:
        asked_at, known = state.readiness
        if known is None or time.monotonic() - asked_at > _REMEMBERED_SECONDS:
            known = await _look(runtime)
            state.readiness = (time.monotonic(), known)
        return known


async def _look(runtime: ApiRuntime) -> Readiness:
    began = time.monotonic()
    try:
        workers = await runtime.fleet.workers(FRESH_SECONDS)
        seconds = time.monotonic() - began
        if await runtime.space.full():
            return Readiness(ready=False, workers=0, reasons=["the database's disk is full: no job can be accepted"])
    except DatabaseAway as error:
        return Readiness(ready=False, workers=0, reasons=[f"the database cannot be reached: {error}"])
    state = judge(runtime.settings, workers)
    if seconds > _SLOW_SECONDS:
        state.reasons.append(f"the database is slow: it took {seconds:.1f} s to say which workers there are")
    return state
