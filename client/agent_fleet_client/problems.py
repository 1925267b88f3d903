"""An answer that refuses, as the exception that carries its problem details."""

import json
from collections.abc import Mapping
from typing import Any, cast

import httpx

from agent_fleet_client.errors import FieldProblem, RefusedError

_SHOWN_CHARACTERS = 500


def refusal(answer: httpx.Response) -> RefusedError:
    """Return the exception for an answer of 400 or more, whatever its body is."""
    document = _problem(answer)
    kind = str(document.get("type", "")).rpartition(":")[2]
    title = str(document.get("title") or answer.reason_phrase or "The request was refused")
    errors = document.get("errors")
    return RefusedError(
        answer.status_code,
        kind,
        title,
        str(document.get("detail", "")).rstrip()[:_SHOWN_CHARACTERS],
        errors=_fields(errors) if isinstance(errors, list) else (),
        retry_after_seconds=_seconds(answer.headers.get("retry-after")),
        request_id=answer.headers.get("x-request-id"),
    )


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        document = json.loads(answer.content)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return cast("Mapping[str, Any]", document)
    # Something before the fleet, or not a fleet at all: its page is no line to show.
    return {"detail": f"{answer.url.host} gave no reason; what answers there may not be the fleet."}


def _fields(errors: list[Any]) -> tuple[FieldProblem, ...]:
    named = [cast("Mapping[str, Any]", error) for error in errors if isinstance(error, dict)]
    return tuple(FieldProblem(str(each.get("field", "")), str(each.get("message", ""))) for each in named)


def _seconds(header: str | None) -> float | None:
    """Read `Retry-After` in seconds; its other form, a date, is what proxies send for hours."""
    return float(header) if header is not None and header.isascii() and header.isdecimal() and len(header) < 9 else None
