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

from fleet_runtime.api.agent_jobs import LANGUAGE, agent_problems, payload_parts
from fleet_runtime.api.models import AgentJob, EncodedFile, LanguageJob
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
    agent: str | None = None
    workspace: str | None = None


def read_job(body: bytes, settings: ApiSettings) -> IntakeJob:
    """Validate a request's body; raises Problem (422 or 413) naming every field that is wrong."""
    request = _parse(body)
    _check_limits(request, settings)
    files = _decode(request.files or {})
    language, code, text = _program(request, settings)
    stdin = None if text is None else text.encode()
    problems = [(f"files[{problem.path!r}]", problem.message) for problem in path_problems(files, language)]
    if problems:
        raise invalid(problems[:_SHOWN_ERRORS])
    if stdin is not None and len(stdin) > MAXIMUM_STDIN_BYTES:
        raise too_large("stdin", f"{len(stdin)} bytes; at most {MAXIMUM_STDIN_BYTES} are allowed, send more as a file")
    try:
        payload = encode(language, code, stdin, dict(sorted(files.items())))
        # The script around an agent's command is not the request's, and may be another one in the next version.
        identity = (
            encode(language, "", stdin, dict(sorted(files.items()))) if isinstance(request, AgentJob) else payload
        )
    except PayloadError as error:
        field, _, message = str(error).partition(": ")
        raise invalid([(field, message or field)]) from None
    return IntakeJob(
        language=LANGUAGE if isinstance(request, AgentJob) else language,
        payload=payload,
        body_sha256=_digest(request, identity),
        timeout_seconds=request.timeout_seconds or settings.default_timeout_seconds,
        priority=request.priority or 0,
        max_attempts=request.max_attempts or settings.max_attempts,
        retry_terminated=request.max_attempts is not None,
        idempotency_key=request.idempotency_key,
        agent=request.agent if isinstance(request, AgentJob) else None,
        workspace=request.workspace,
    )


def _program(request: LanguageJob | AgentJob, settings: ApiSettings) -> tuple[str, str, str | None]:
    """Return the language, code and standard input that the sandbox is given."""
    if isinstance(request, LanguageJob):
        return request.language, request.code, request.stdin
    return payload_parts(request, settings)


def _parse(body: bytes) -> LanguageJob | AgentJob:
    try:
        return LanguageJob.model_validate_json(body)
    except ValidationError:
        # Python's parser is slower and takes what no text may hold, so that the field with it can be named.
        data = _json(body)
    kind = AgentJob if "agent" in data else LanguageJob
    if kind is AgentJob and ("language" in data or "code" in data):
        message = (
            "goes without `language` and `code`: a job is one or the other, and an agent gets a command or a prompt"
        )
        raise invalid([("agent", message)])
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise invalid(_named(error.errors(include_url=False), ", ".join(kind.model_fields))) from None


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


def _named(errors: Sequence[ErrorDetails], known: str) -> list[tuple[str, str]]:
    """Turn pydantic's errors into (field, message), one for each field."""
    named: dict[str, str] = {}
    for error in errors:
        location = [str(part) for part in error["loc"]]
        if location[:1] == ["files"] and len(location) > 1:
            name = f"files[{location[1]!r}]"
            message = error["msg"] if error["type"] == "text" else 'must be text, or {"base64": "…"}'
        elif location[:1] == ["command"] and error["type"] in ("list_type", "string_type"):
            name = "command"
            message = "must be a list of strings, a program and its arguments, or a text for bash"
        else:
            name, message = location[0] if location else "body", _message(error, known)
        named.setdefault(name, message)
    return list(named.items())[:_SHOWN_ERRORS]


def _message(error: ErrorDetails, known: str) -> str:
    match error["type"]:
        case "extra_forbidden":
            return f"is not a field of a job; known are {known}"
        case "missing":
            return "is missing"
        case "too_long":
            return f"has more than {MAXIMUM_FILES} entries"
        case "string_unicode":
            return "holds a lone surrogate, which is not valid Unicode"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "string_too_long":
            context = error.get("ctx", {})
            return f"has {len(str(error['input']))} characters; at most {context.get('max_length')} are allowed"
        case _:
            given = error["input"]
            shown = f", not {given!r}" if isinstance(given, (int, float, bool)) or given is None else ""
            message = error["msg"]
            return message[0].lower() + message[1:] + shown


def _check_limits(request: LanguageJob | AgentJob, settings: ApiSettings) -> None:
    errors: list[tuple[str, str]] = []
    if isinstance(request, AgentJob):
        errors.extend(agent_problems(request, settings))
    elif request.language not in settings.languages:
        errors.append(("language", f"{request.language[:50]!r} was given; allowed are {', '.join(settings.languages)}"))
    if request.timeout_seconds is not None and request.timeout_seconds > settings.max_timeout_seconds:
        errors.append(
            (
                "timeout_seconds",
                f"{request.timeout_seconds:g} was given; at most {settings.max_timeout_seconds:g} is allowed",
            )
        )
    if isinstance(request, LanguageJob) and request.workspace is not None:
        errors.append(("workspace", "goes with `agent` only; leave the field out and send `files`"))
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


def _digest(request: LanguageJob | AgentJob, payload: bytes) -> bytes:
    """Hash what the request asks for, as given: a changed default must not turn a repeated request into a conflict."""
    options: list[object] = [request.timeout_seconds, request.priority, request.max_attempts]
    if isinstance(request, AgentJob):
        options += [request.agent, request.workspace, request.prompt, request.command]
    hashed = hashlib.sha256(json.dumps(options).encode())
    hashed.update(payload)
    return hashed.digest()
