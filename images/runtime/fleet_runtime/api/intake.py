"""From a request's bytes to a job that can be stored; every way in which it can be wrong has its own answer."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fleet_runtime.api.models import EncodedFile, LanguageJob
from fleet_runtime.api.problems import invalid, too_large
from fleet_runtime.config import ApiSettings
from fleet_runtime.payload import MAXIMUM_FILE_BYTES, MAXIMUM_FILES, PayloadError, encode, path_problems

MAXIMUM_STDIN_BYTES = 8 * 1024 * 1024
_SHOWN_ERRORS = 20


@dataclass(frozen=True)
class IntakeJob:
    """A valid job. `body_sha256` is the same for two requests that mean the same."""

    language: str
    payload: bytes
    body_sha256: bytes
    timeout_seconds: float
    priority: int
    max_attempts: int
    retry_terminated: bool
    idempotency_key: str | None


def read_job(body: bytes, settings: ApiSettings) -> IntakeJob:
    """Validate a request's body; raises Problem (422 or 413) naming every field that is wrong."""
    request = _parse(body)
    _check_limits(request, settings)
    files = _decode(request.files or {})
    stdin = None if request.stdin is None else request.stdin.encode()
    problems = [(f"files[{problem.path!r}]", problem.message) for problem in path_problems(files, request.language)]
    if problems:
        raise invalid(problems[:_SHOWN_ERRORS])
    if stdin is not None and len(stdin) > MAXIMUM_STDIN_BYTES:
        raise too_large("stdin", f"{len(stdin)} bytes; at most {MAXIMUM_STDIN_BYTES} are allowed, send more as a file")
    try:
        payload = encode(request.language, request.code, stdin, dict(sorted(files.items())))
    except PayloadError as error:
        field, _, message = str(error).partition(": ")
        raise invalid([(field, message or field)]) from None
    return IntakeJob(
        language=request.language,
        payload=payload,
        body_sha256=_digest(request, payload),
        timeout_seconds=request.timeout_seconds or settings.default_timeout_seconds,
        priority=request.priority or 0,
        max_attempts=request.max_attempts or settings.max_attempts,
        retry_terminated=request.max_attempts is not None,
        idempotency_key=request.idempotency_key,
    )


def _parse(body: bytes) -> LanguageJob:
    try:
        return LanguageJob.model_validate_json(body)
    except ValidationError:
        # Python's parser is slower and takes what no text may hold, so that the field with it can be named.
        data = _json(body)
    if "agent" in data:
        given = f"{data['agent']!r}"[:60]
        message = f"{given} was given, but no agent pool is configured in this stack; send `language` and `code`"
        raise invalid([("agent", message)])
    try:
        return LanguageJob.model_validate(data)
    except ValidationError as error:
        raise invalid(_named(error.errors(include_url=False))) from None


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise invalid([("body", f"is not UTF-8: byte {error.start} is wrong")]) from None
    except json.JSONDecodeError as error:
        raise invalid([("body", f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")]) from None
    except (RecursionError, ValueError):
        raise invalid([("body", "is JSON that nests too deeply or holds too long a number")]) from None
    if not isinstance(data, dict):
        raise invalid([("body", f"must be a JSON object with `language` and `code`, not {_json_type(data)}")])
    fields: dict[str, Any] = data  # pyright: ignore[reportUnknownVariableType]
    if any("\ud800" <= character <= "\udfff" for name in fields for character in name):
        raise invalid([("body", "has a field whose name holds a lone surrogate, which is not valid Unicode")])
    return fields


def _json_type(data: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(data), "null")


def _named(errors: Sequence[ErrorDetails]) -> list[tuple[str, str]]:
    """Turn pydantic's errors into (field, message), one for each field."""
    named: dict[str, str] = {}
    for error in errors:
        location = [str(part) for part in error["loc"]]
        if location[:1] == ["files"] and len(location) > 1:
            name = f"files[{location[1]!r}]"
            message = error["msg"] if error["type"] == "text" else 'must be text, or {"base64": "…"}'
        else:
            name, message = location[0] if location else "body", _message(error)
        named.setdefault(name, message)
    return list(named.items())[:_SHOWN_ERRORS]


def _message(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(LanguageJob.model_fields)
            return f"is not a field of a job; known are {known}"
        case "missing":
            return "is missing"
        case "too_long":
            return f"has more than {MAXIMUM_FILES} entries"
        case "string_unicode":
            return "holds a lone surrogate, which is not valid Unicode"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            context = error.get("ctx", {})
            return f"has {len(str(error['input']))} characters; at most {context.get('max_length')} are allowed"
        case _:
            given = error["input"]
            shown = f", not {given!r}" if isinstance(given, (int, float, bool)) or given is None else ""
            message = error["msg"]
            return message[0].lower() + message[1:] + shown


def _check_limits(request: LanguageJob, settings: ApiSettings) -> None:
    errors: list[tuple[str, str]] = []
    if request.language not in settings.languages:
        errors.append(("language", f"{request.language[:50]!r} was given; allowed are {', '.join(settings.languages)}"))
    if request.timeout_seconds is not None and request.timeout_seconds > settings.max_timeout_seconds:
        errors.append(
            (
                "timeout_seconds",
                f"{request.timeout_seconds:g} was given; at most {settings.max_timeout_seconds:g} is allowed",
            )
        )
    if request.workspace is not None:
        errors.append(("workspace", "no workspace is configured in this stack; leave the field out and send `files`"))
    if errors:
        raise invalid(errors)


def _decode(files: Mapping[str, str | EncodedFile]) -> dict[str, bytes]:
    decoded: dict[str, bytes] = {}
    errors: list[tuple[str, str]] = []
    size = 0
    for path, content in files.items():
        try:
            decoded[path] = (
                content.encode() if isinstance(content, str) else base64.b64decode(content.base64, validate=True)
            )
        except (binascii.Error, ValueError):
            errors.append((f"files[{path!r}].base64", "is not standard base64 with padding and without line breaks"))
            continue
        size += len(decoded[path])
        if size > MAXIMUM_FILE_BYTES:
            raise too_large("files", f"more than {MAXIMUM_FILE_BYTES} bytes decoded in all")
    if errors:
        raise invalid(errors[:_SHOWN_ERRORS])
    return decoded


def _digest(request: LanguageJob, payload: bytes) -> bytes:
    """Hash what the request asks for, as given: a changed default must not turn a repeated request into a conflict."""
    options = [request.timeout_seconds, request.priority, request.max_attempts]
    hashed = hashlib.sha256(json.dumps(options).encode())
    hashed.update(payload)
    return hashed.digest()
