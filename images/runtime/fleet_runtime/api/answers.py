"""The API's answers: how a stored job is shown, and how each answer is declared in the OpenAPI document."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from starlette.responses import Response

from fleet_runtime.api.models import JobResult
from fleet_runtime.api.problems import MEDIA_TYPE, ProblemDocument, expired, not_found
from fleet_runtime.store.records import ListedJob, StoredResult

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_DESCRIPTIONS = {
    401: "No key, or a wrong one",
    404: "No such job, or another tenant's",
    405: "The method is not possible here",
    408: "The body came too slowly",
    410: "The result has expired",
    413: "The request is too large",
    422: "The request is not valid; `errors` names the fields",
    429: "The tenant's queue is full",
    503: "The service cannot answer now; nothing was lost",
}
_WITH_RETRY = {429, 503}


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer whose content is a pydantic model or plain data."""
    return Response(to_json(content), status_code=status, headers=dict(headers or {}), media_type="application/json")


def job_id(text: str) -> UUID:
    """Read an id from a path; what cannot be an id is an unknown job."""
    if not _ID.fullmatch(text):
        raise not_found()
    return UUID(text)


def shown(stored: StoredResult | None) -> dict[str, Any]:
    """Return a job as the contract's result; raises Problem (404, 410)."""
    if stored is None:
        raise not_found()
    if stored.expired:
        raise expired()
    ended = stored.status not in ("queued", "running")
    error = None
    if stored.error_code is not None:
        error = {"code": stored.error_code, "message": stored.error_message or ""}
    return {
        "id": str(stored.id),
        "status": stored.status,
        "attempt": stored.attempt,
        "exit_code": stored.exit_code,
        "signal": stored.signal,
        "stdout": (stored.stdout or b"").decode(errors="replace"),
        "stderr": (stored.stderr or b"").decode(errors="replace"),
        "stdout_truncated": stored.stdout_truncated,
        "stderr_truncated": stored.stderr_truncated,
        # A job that waits again has no final wait yet.
        "queued_ms": stored.queued_ms if ended or stored.status == "running" else None,
        "start_ms": stored.start_ms,
        "run_ms": stored.run_ms,
        "warm": stored.warm,
        "error": error,
    }


def listed(job: ListedJob) -> dict[str, Any]:
    """Return a job as a list shows it."""
    return {**{name: value for name, value in vars(job).items() if name != "seq"}, "id": str(job.id)}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare these problem answers."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    declared: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}},
    }
    headers: dict[str, Any] = {}
    if status in _WITH_RETRY:
        headers["Retry-After"] = {"schema": {"type": "integer"}, "required": True, "description": "seconds"}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}, "required": True}
    return {**declared, "headers": headers} if headers else declared


def result_answer(description: str, *, waited: bool = True) -> dict[str, Any]:
    """Declare an answer that is a result."""
    return {"model": JobResult, "description": description, "headers": waited_headers() if waited else {}}


def waited_headers(**others: str) -> dict[str, Any]:
    """Declare `Preference-Applied` and other headers (name=description, `_` for `-`)."""
    headers: dict[str, Any] = {
        "Preference-Applied": {
            "schema": {"type": "string"},
            "required": False,
            "description": "`wait=N`, where `Prefer: wait=N` was sent: the seconds that were allowed",
        }
    }
    for name, description in others.items():
        headers[name.replace("_", "-")] = {"schema": {"type": "string"}, "required": True, "description": description}
    return headers
