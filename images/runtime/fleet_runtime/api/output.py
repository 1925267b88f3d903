"""`GET /jobs/{id}/output`: what a job writes, as it writes it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fleet_runtime.api.answers import job_id, problems, shown
from fleet_runtime.api.output_events import OutputEvents, Position
from fleet_runtime.api.problems import Problem, invalid, not_found
from fleet_runtime.api.runtime import ApiRuntime, Caller, Runtime
from fleet_runtime.store.records import ResultOutline
from fleet_runtime.tasks import end

log = structlog.get_logger()
router = APIRouter()

_SLOW_SECONDS = 30.0
"""A reader that takes nothing for so long is dropped; the connection itself holds at most 64 KiB for it meanwhile."""

_DESCRIPTION = (
    "Server-sent events: `state`, `stdout` and `stderr` with `offset` and `base64`, `restart` where another attempt "
    "begins and what came before is void, `end` with the result but its outputs. Without an `end` the stream was cut: "
    "go on with the last event's id."
)


@router.get(
    "/jobs/{id}/output",
    summary="A job's output, live",
    response_class=Response,
    responses={
        200: {"description": _DESCRIPTION, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "`Last-Event-ID` is that of the `end`: there is no more"},
        **problems(401, 404, 410, 422, 429, 503),
    },
)
async def follow_output(
    request: Request,
    id: str,
    runtime: Runtime,
    caller: Caller,
    last_event_id: Annotated[str | None, Header(max_length=50, description="go on after this event")] = None,
) -> Response:
    """Follow a job that is queued or running to its end; of one that has ended, give what is stored."""
    position = Position.parse(last_event_id) if last_event_id is not None else Position()
    if position is None:
        message = f"{last_event_id!r} is not the id of an event of this stream; leave it out to begin at the start"
        raise invalid([("Last-Event-ID", message)])
    identifier = job_id(id)
    stored = await runtime.results.outline(caller.tenant, identifier)
    if stored is None:
        raise not_found()
    if shown(stored)["status"] not in ("queued", "running") and position.ended:
        return Response(status_code=204)
    position.ended = False
    authorization = request.headers.get("authorization")

    async def allowed() -> bool:
        identity = await runtime.authenticator.identify(authorization)
        return identity is not None and identity.tenant == caller.tenant

    events = OutputEvents(
        caller.tenant, identifier, runtime.desk, runtime.live_output, runtime.results, allowed, position
    )
    return _EventStream(runtime, events, stored)


class _EventStream(Response):
    """Sends events for as long as there are any, the reader takes them, and it is there."""

    media_type = "text/event-stream"

    def __init__(self, runtime: ApiRuntime, events: OutputEvents, stored: ResultOutline) -> None:
        # The length is not known, and proxies must not wait for more.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._runtime = runtime
        self._events = events
        self._stored = stored

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything; whatever ends it, nothing of it stays."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._runtime.desk.place(self._events.tenant))
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        events = self._events.events(self._stored)
        sending = asyncio.create_task(self._send(events, send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except TimeoutError:
            log.info("output_reader_too_slow", job=str(self._events.id), tenant=self._events.tenant)
        finally:
            await end((sending, leaving))
            await events.aclose()

    async def _send(self, events: AsyncGenerator[bytes], send: Send) -> None:
        start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for event in events:
            async with asyncio.timeout(_SLOW_SECONDS):
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
