"""Waiting for a started container to be healthy."""

import time
from collections.abc import Mapping
from typing import Any

from engine.standins.docker_api import DockerEngine
from engine.standins.engine_log import StatusLine
from engine.standins.standin import Call, OperationError

_DEFAULT_SECONDS = 60  # terraform-provider-docker's default of wait_timeout
_POLL_SECONDS = 0.2
_LOG_LINES = 20
_MOST_RESTARTS = 5  # about four seconds: Docker doubles the pause before each, beginning at 0.1 s


def wait_until_healthy(engine: DockerEngine, call: Call, container_id: str, plain: Mapping[str, Any]) -> None:
    """Return when the container is healthy; raises OperationError, with its last lines of log, when it will not be."""
    limit: int = plain.get("waitTimeout") or _DEFAULT_SECONDS
    deadline = time.monotonic() + limit
    status = StatusLine(call.log, call.urn)
    name = plain["name"]
    while True:
        found = engine.get(f"/containers/{container_id}/json")
        state = found["State"]
        health = state.get("Health")
        if health is None or health.get("Status") == "none":
            raise OperationError(
                f"wait: container {name!r} has no health check to wait for. Add `healthcheck`, or leave `wait` out."
            )
        if health["Status"] == "healthy":
            return
        if state["Status"] in ("exited", "dead"):
            raise _failure(engine, container_id, f"Container {name!r} ended with exit code {state['ExitCode']}", state)
        if found.get("RestartCount", 0) >= _MOST_RESTARTS:
            what = f"Container {name!r} keeps ending (exit code {state['ExitCode']}, {found['RestartCount']} restarts)"
            raise _failure(engine, container_id, what, state)
        if time.monotonic() > deadline:
            what = (
                f"Container {name!r} was not healthy within {limit} s (waitTimeout), its health is {health['Status']}"
            )
            raise _failure(engine, container_id, what, state)
        status.show(f"waiting until healthy ({health['Status']})")
        if call.cancelled.wait(_POLL_SECONDS):
            raise OperationError(f"Cancelled while waiting for container {name!r} to be healthy.")


def _failure(engine: DockerEngine, container_id: str, what: str, state: Mapping[str, Any]) -> OperationError:
    lines = engine.logs(container_id, _LOG_LINES)
    checks = (state.get("Health") or {}).get("Log") or []
    parts = [f"{what}."]
    if state.get("OOMKilled"):
        parts.append("It ran out of memory: raise `memory`.")
    if checks and (output := str(checks[-1].get("Output", "")).strip()):
        parts.append(f"Last health check (exit code {checks[-1].get('ExitCode')}): {output[-500:]}")
    parts.append("Its last log lines:" if lines else "It logged nothing.")
    return OperationError("\n".join([*parts, *(f"  {line}" for line in lines)]))
