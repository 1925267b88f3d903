"""Problem details (RFC 9457): the form of every error that the API answers with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fleet_runtime.database import DatabaseAway, DatabaseFull

MEDIA_TYPE = "application/problem+json"
_AWAY_RETRY_SECONDS = 2

# What is left of a body that nobody will read must not be read for ever either.
_CLOSE = {"Connection": "close"}


class FieldError(BaseModel):
    """One field that is wrong: its name as the client wrote it, and what is allowed."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """An error."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="a URN that stands for this kind of problem")
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = Field(default=None, description="the fields that are wrong, where fields are")


@dataclass
class Problem(Exception):  # noqa: N818 - the standard's word
    """An error to be shown to the client."""

    status: int
    kind: str
    title: str
    detail: str
    errors: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    extension: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def response(self) -> Response:
        """Return it as an HTTP answer."""
        document: dict[str, Any] = {
            "type": f"urn:agent-fleet:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"field": name, "message": message} for name, message in self.errors]
        # ASCII only: what a client sent may not be valid Unicode, and is quoted here.
        body = json.dumps({**document, **self.extension}).encode()
        return Response(body, status_code=self.status, headers=dict(self.headers), media_type=MEDIA_TYPE)


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """Return the answer to a request whose fields are wrong."""
    detail = "; ".join(f"{name}: {message}" for name, message in errors[:3])
    if len(errors) > 3:
        detail += f"; and {len(errors) - 3} more"
    return Problem(422, "invalid-request", "The request is not valid", detail, errors=errors)


def unauthorised() -> Problem:
    """Return the answer to a request without a valid key, whatever is wrong with it."""
    return Problem(
        401,
        "unauthorised",
        "A valid API key is needed",
        "Send a valid key as `Authorization: Bearer fleet_…`; keys are listed by `python -m fleet_runtime keys list`.",
        headers={"WWW-Authenticate": "Bearer", **_CLOSE},
    )


def not_found() -> Problem:
    """Return the answer for a job that is unknown, or another tenant's."""
    return Problem(404, "job-not-found", "There is no such job", "No job of yours has this id.")


def expired() -> Problem:
    """Return the answer for a job whose result is gone."""
    return Problem(410, "result-expired", "The result has expired", "The job ended, and its result has been removed.")


def too_large(name: str, message: str) -> Problem:
    """Return the answer to a request that is too large, naming the part."""
    return Problem(
        413, "too-large", "The request is too large", f"{name}: {message}", errors=[(name, message)], headers=_CLOSE
    )


def too_slow(seconds: float) -> Problem:
    """Return the answer to a body that does not arrive."""
    detail = f"The body did not arrive within {seconds:.0f} s."
    return Problem(408, "too-slow", "The request came too slowly", detail, headers=_CLOSE)


def over_budget(limit: int, retry_after_seconds: int) -> Problem:
    """Return the answer to a tenant whose queue is full."""
    return Problem(
        429,
        "queue-full",
        "Too many jobs are queued",
        f"{limit} of your jobs are queued, which is the limit. Send this one again when some of them have run.",
        headers={"Retry-After": str(retry_after_seconds)},
    )


def unavailable(detail: str, extension: Mapping[str, Any] | None = None) -> Problem:
    """Return the answer while nothing can be accepted."""
    return Problem(
        503,
        "unavailable",
        "The service cannot answer now",
        detail,
        headers={"Retry-After": str(_AWAY_RETRY_SECONDS)},
        extension=extension or {},
    )


def handle_problems(app: FastAPI) -> None:
    """Have every error of the application answered as a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DatabaseAway, _away)
    app.add_exception_handler(Exception, _internal)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - what the handler is registered for
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is registered for
    kinds = {
        404: ("no-such-resource", f"There is nothing at {request.url.path}; /openapi.json lists what there is."),
        405: ("method-not-allowed", f"{request.method} is not possible at {request.url.path}."),
    }
    kind, detail = kinds.get(error.status_code, ("refused", "The request was refused."))
    return Problem(error.status_code, kind, error.detail, detail, headers=error.headers or {}).response()


async def _internal(request: Request, _: Exception) -> Response:
    # The log has the whole story; the client gets the id to ask for it by.
    detail = f"The fault is ours. Request {request.scope.get('fleet.request_id', '')} has been logged."
    return Problem(500, "internal", "Something went wrong here", detail).response()


async def _away(_: Request, error: Exception) -> Response:
    state = "The database's disk is full" if isinstance(error, DatabaseFull) else "The database cannot be reached"
    return unavailable(f"{state}; nothing was lost. Send the request again.").response()
