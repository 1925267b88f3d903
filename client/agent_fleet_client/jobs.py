"""A job as it is sent, held against the contract's limits before anything goes over the network."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_fleet_client.errors import InvalidJobError

# The fleet's own limits (docs/api.md of agent-fleet); it checks them again.
MAXIMUM_CODE_CHARACTERS = 100_000
MAXIMUM_STDIN_BYTES = 8 * 1024 * 1024
MAXIMUM_FILES = 1_000
MAXIMUM_FILE_BYTES = 16 * 1024 * 1024
"""Bytes of all files of one job together."""
MAXIMUM_BODY_BYTES = 40 * 1024 * 1024
"""The whole request, as JSON."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Code to run, or what an agent is to do, and what it gets.

    `stdin` and `files` (relative path → content) take text or bytes. `timeout_seconds` is wall-clock time; the fleet's
    default, 60, if not given. `max_attempts` is how often the infrastructure may fail it, given here also the sandbox.
    `agent_type` picks a pool in a cluster. With `command` (a program and its arguments, or a text for bash) or `prompt`
    it is that agent's job: it takes no code, and may name a `workspace` of the tenant. Without an `idempotency_key` the
    client makes one for each submission.
    """

    code: str = ""
    language: str = "python"
    stdin: str | bytes | None = None
    files: Mapping[str, str | bytes] = field(default_factory=dict[str, str | bytes])
    timeout_seconds: float | None = None
    priority: int | None = None
    max_attempts: int | None = None
    idempotency_key: str | None = None
    agent_type: str | None = None
    command: str | Sequence[str] | None = None
    prompt: str | None = None
    workspace: str | None = None


def request_body(job: Job, idempotency_key: str) -> bytes:
    """Return the request's JSON; raises InvalidJobError for what the fleet would refuse, with the way out."""
    fields = _program(job) if job.command is None and job.prompt is None else _agent(job)
    if job.stdin is not None:
        fields["stdin"] = _stdin(job.stdin)
    if job.files:
        fields["files"] = _files(job.files)
    options = {
        "timeout_seconds": job.timeout_seconds,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "idempotency_key": _text("idempotency_key", idempotency_key),
    }
    fields.update({name: value for name, value in options.items() if value is not None})
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    if len(body) > MAXIMUM_BODY_BYTES:
        raise InvalidJobError(
            "body",
            f"is {len(body)} bytes as JSON; at most {MAXIMUM_BODY_BYTES} are allowed. Standard input with many control "
            "characters grows sixfold on the way: send it as a file of the job",
        )
    return body


def _program(job: Job) -> dict[str, Any]:
    if job.workspace is not None:
        raise InvalidJobError("workspace", "goes with an agent's `command` or `prompt` only; send files with `files`")
    if len(job.code) > MAXIMUM_CODE_CHARACTERS:
        raise InvalidJobError(
            "code",
            f"has {len(job.code)} characters; at most {MAXIMUM_CODE_CHARACTERS} are allowed. Send what is large as a "
            "file of the job, and a short program that uses it",
        )
    return {"language": _text("language", job.language), "code": _text("code", job.code)}


def _agent(job: Job) -> dict[str, Any]:
    if job.agent_type is None:
        raise InvalidJobError("agent_type", "is missing: it says which agent gets the `command` or `prompt`")
    if job.code:
        raise InvalidJobError("code", "goes without `command` and `prompt`: a job is code, or what an agent is to do")
    fields: dict[str, Any] = {"agent": _text("agent_type", job.agent_type)}
    if isinstance(job.command, str):
        fields["command"] = _text("command", job.command)
    elif job.command is not None:
        fields["command"] = [_text("command", part) for part in job.command]
    if job.prompt is not None:
        fields["prompt"] = _text("prompt", job.prompt)
    if job.workspace is not None:
        fields["workspace"] = _text("workspace", job.workspace)
    return fields


def _text(name: str, value: str) -> str:
    if "\0" in value:
        raise InvalidJobError(name, "holds a NUL character, which the fleet takes in files only")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidJobError(name, "is not valid Unicode: it holds a lone surrogate") from None
    return value


def _stdin(given: str | bytes) -> str:
    try:
        text = given if isinstance(given, str) else given.decode()
    except UnicodeDecodeError as error:
        raise InvalidJobError(
            "stdin", f"is not UTF-8 text (byte {error.start}); send it as a file of the job, which may be anything"
        ) from None
    size = len(_text("stdin", text).encode())
    if size > MAXIMUM_STDIN_BYTES:
        raise InvalidJobError(
            "stdin", f"is {size} bytes; at most {MAXIMUM_STDIN_BYTES} are allowed. Send more as a file of the job"
        )
    return text


def _files(given: Mapping[str, str | bytes]) -> dict[str, Any]:
    if len(given) > MAXIMUM_FILES:
        raise InvalidJobError("files", f"are {len(given)}; at most {MAXIMUM_FILES} are allowed. Send an archive")
    contents: dict[str, bytes] = {}
    for path, content in given.items():
        name = f"files[{path!r}]"
        _text(name, path)
        contents[path] = content if isinstance(content, bytes) else _text(name, content).encode()
    size = sum(map(len, contents.values()))
    if size > MAXIMUM_FILE_BYTES:
        raise InvalidJobError("files", f"are {size} bytes in all; at most {MAXIMUM_FILE_BYTES} are allowed")
    return {path: _encoded(content) for path, content in contents.items()}


def _encoded(content: bytes) -> str | dict[str, str]:
    """Text as it is where that is valid and no larger than base64, in which a limit of the body always holds."""
    encoded = {"base64": base64.b64encode(content).decode()}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return encoded
    if "\0" in text or len(json.dumps(text, ensure_ascii=False).encode()) > len(encoded["base64"]) + 20:
        return encoded
    return text
