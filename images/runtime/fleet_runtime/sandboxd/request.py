"""What a client may ask to run, checked before anything is done with it."""

import math
import re
from dataclasses import dataclass
from typing import Any

from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.workspace import Workspace
from fleet_runtime.workspaces import TENANT_NAME, WORKSPACE_NAME, WORKSPACE_RULE

_MAXIMUM_TIMEOUT_SECONDS = 7 * 24 * 3600
_MAXIMUM_JOB_ID_CHARACTERS = 200
_MAXIMUM_TENANT_CHARACTERS = 63
_LOG_ID = re.compile(r"[A-Za-z0-9._:/+=-]{0,128}")


@dataclass(frozen=True)
class Request:
    """The header and body of one `run`."""

    template: str
    job_id: str
    attempt: int
    timeout_seconds: float
    payload: bytes
    tenant: str
    request_id: str = ""
    trace_id: str = ""
    """Both are for the log alone; empty where the worker has none."""
    workspace: Workspace | None = None


def parse_request(header: dict[str, Any], body: bytes) -> Request:
    """Return the request; raises RefusedError (invalid_request) that names the field."""
    template, job_id, attempt = header.get("template"), header.get("job_id"), header.get("attempt")
    seconds, tenant = header.get("timeout_seconds"), header.get("tenant", "")
    if not isinstance(template, str):
        raise _invalid("template must be a string")
    if not isinstance(job_id, str) or not 0 < len(job_id) <= _MAXIMUM_JOB_ID_CHARACTERS:
        raise _invalid(f"job_id must be a string of 1 to {_MAXIMUM_JOB_ID_CHARACTERS} characters")
    if not isinstance(attempt, int) or isinstance(attempt, bool):
        raise _invalid("attempt must be a whole number")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not math.isfinite(seconds):
        raise _invalid("timeout_seconds must be a number")
    if not 0 < seconds <= _MAXIMUM_TIMEOUT_SECONDS:
        raise _invalid(f"timeout_seconds must be above 0 and at most {_MAXIMUM_TIMEOUT_SECONDS}")
    if not isinstance(tenant, str) or len(tenant) > _MAXIMUM_TENANT_CHARACTERS:
        raise _invalid(f"tenant must be a string of at most {_MAXIMUM_TENANT_CHARACTERS} characters")
    request_id, trace_id = _log_id(header, "request_id"), _log_id(header, "trace_id")
    if not body:
        raise _invalid("a run needs a payload as its body")
    return Request(
        template, job_id, attempt, float(seconds), body, tenant, request_id, trace_id, parse_workspace(header)
    )


def parse_workspace(header: dict[str, Any]) -> Workspace | None:
    """Return the workspace by the tenant's name and its own: both become part of a path or of a volume's name.

    Raises RefusedError (invalid_request).
    """
    name, tenant = header.get("workspace"), header.get("tenant", "")
    if name is None:
        return None
    if not isinstance(name, str) or not WORKSPACE_NAME.fullmatch(name):
        raise _invalid(f"workspace must be {WORKSPACE_RULE}")
    if not TENANT_NAME.fullmatch(tenant):
        raise _invalid(
            "a workspace is a tenant's: tenant must be small letters, digits and hyphens, none first or last"
        )
    return Workspace(tenant, name)


def _log_id(header: dict[str, Any], name: str) -> str:
    value = header.get(name, "")
    if not isinstance(value, str) or not _LOG_ID.fullmatch(value):
        raise _invalid(f"{name} must be a string of at most 128 letters, digits and . _ : / + = -")
    return value


def _invalid(message: str) -> RefusedError:
    return RefusedError("invalid_request", message)
