"""`GET /usage`: a tenant's own limits, and what it uses of them."""

from fastapi import APIRouter
from starlette.responses import Response

from fleet_runtime.api.answers import json_answer, problems
from fleet_runtime.api.models import DayUsage, Usage, UsageLimits
from fleet_runtime.api.problems import unauthorised
from fleet_runtime.api.runtime import Caller, Runtime

router = APIRouter()


@router.get(
    "/usage",
    summary="The tenant's budget",
    response_class=Response,
    responses={200: {"model": Usage, "description": "Limits, and what is used of them now"}, **problems(401, 503)},
)
async def usage(runtime: Runtime, caller: Caller) -> Response:
    """Return the tenant's limits, today's use (UTC, on the database's clock), and how many jobs wait and run."""
    found = await runtime.budgets.usage(caller.tenant)
    if found is None:
        # Keys belong to tenants, so this one has gone with all of its keys.
        raise unauthorised()
    return json_answer(
        Usage(
            tenant=found.tenant,
            limits=UsageLimits(
                queue=runtime.settings.queue_limit,
                max_concurrent=found.max_concurrent,
                jobs_per_minute=found.jobs_per_minute,
                jobs_per_day=found.jobs_per_day,
                cpu_seconds_per_day=found.cpu_seconds_per_day,
            ),
            today=DayUsage(jobs=found.jobs_today, cpu_seconds=found.cpu_seconds_today, resets_at=found.resets_at),
            queued=found.queued,
            running=found.running,
            exhausted=found.exhausted,
        )
    )
