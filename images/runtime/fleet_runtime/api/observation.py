"""Around every request: its id, its trace, its metrics, its line in the log, and an answer if a handler has failed."""

import re
import secrets
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet_runtime.telemetry.metrics import ApiMetrics
from fleet_runtime.telemetry.traceparent import incoming, trace_id
from fleet_runtime.telemetry.tracing import Tracing

log = structlog.get_logger()

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_TRACED = "/execute"
_QUIET = frozenset({"/health", "/ready"})


class Observation:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics, tracing: Tracing | None) -> None:
        """Wrap `app`. Requests that make jobs get a span, where there is a tracing."""
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["fleet.request_id"] = _request_id(scope)
        scope["fleet.traceparent"] = incoming(scope["headers"])
        span = None
        if self._tracing is not None and scope["method"] == "POST" and scope["path"] == _TRACED:
            span = self._tracing.begin(f"POST {_TRACED}", scope["fleet.traceparent"], serves=True)
            scope["fleet.traceparent"] = span.traceparent
        started = time.perf_counter()
        status = 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except Exception as error:
            # problems.py has answered it by now.
            log.exception("request_failed", request_id=request_id, error=type(error).__name__)
        finally:
            self._record(scope, request_id, status, time.perf_counter() - started)
            if span is not None:
                span.end(_attributes(scope, request_id, status), failed=status >= 500 or status == 0)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = str(getattr(route, "path", "unmatched"))
        method = scope["method"] if path != "unmatched" else "any"
        self._metrics.requests.labels(method, path, str(status)).inc()
        self._metrics.request_seconds.labels(path).observe(seconds)
        write = log.debug if path in _QUIET and status == 200 else log.info
        write(
            "request",
            request_id=request_id,
            method=scope["method"],
            route=path,
            status=status,
            ms=round(seconds * 1000, 2),
            tenant=scope.get("fleet.tenant"),
            trace_id=trace_id(scope["fleet.traceparent"]),
        )


def _attributes(scope: Scope, request_id: str, status: int) -> dict[str, str | int]:
    about: dict[str, str | int] = {
        "http.request.method": "POST",
        "http.route": _TRACED,
        "http.response.status_code": status,
        "request.id": request_id,
    }
    return {**about, "tenant": scope["fleet.tenant"]} if "fleet.tenant" in scope else about


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)
