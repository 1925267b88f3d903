"""`python -m fleet_runtime ROLE`: a part of the service, or an operator's command (`_ROLES`)."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import structlog
import uvloop
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from fleet_runtime.telemetry.logs import configure_logs

_ROLES = (
    "api",
    "worker",
    "sandboxd",
    "egress",
    "migrate",
    "bundle",
    "keys",
    "tenants",
    "workers",
    "dead-letters",
    "workspaces",
)
_WITH_ARGUMENTS = ("bundle", "keys", "tenants", "workers", "dead-letters", "workspaces")


def main() -> None:
    """Run one role until it ends; exits with 0, 1 (it failed) or 2 (called wrongly)."""
    role, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if role not in _ROLES or (arguments and role not in _WITH_ARGUMENTS):
        sys.stderr.write(f"usage: python -m fleet_runtime ROLE, where ROLE is one of {', '.join(_ROLES)}\n")
        raise SystemExit(2)
    configure_logs("info", role=role)
    try:
        raise SystemExit(_run(role, arguments))
    except ValidationError as error:
        # The input is left out on purpose: it may be a password.
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            name = "_".join(str(part) for part in problem["loc"]).upper() or "settings"
            # Kubernetes itself gives the names that begin so.
            name = name if name == "settings" or name.startswith("KUBERNETES_SERVICE_") else f"FLEET_{name}"
            structlog.get_logger().error("setting_refused", setting=name, problem=problem["msg"])
        raise SystemExit(1) from None
    except SettingsError as error:
        structlog.get_logger().error("setting_refused", problem=f"{error}: it is not valid JSON")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


# Each role imports its own parts only: sandboxd must not need a database driver, nor the API a Docker client.
def _run(role: str, arguments: list[str]) -> int:
    match role:
        case "api":
            from fleet_runtime.api.server import serve as serve_api
            from fleet_runtime.config import ApiSettings

            settings = ApiSettings()  # pyright: ignore[reportCallIssue] - from the environment
            configure_logs(settings.log_level, role=role, fleet=settings.name)
            _await(serve_api(settings))
        case "worker":
            from fleet_runtime.config import WorkerSettings
            from fleet_runtime.worker.server import serve as serve_worker

            settings = WorkerSettings()  # pyright: ignore[reportCallIssue] - from the environment
            configure_logs(settings.log_level, role=role, fleet=settings.name, worker=settings.worker_id)
            _await(serve_worker(settings))
        case "sandboxd":
            from fleet_runtime.sandboxd.config import SandboxdSettings
            from fleet_runtime.sandboxd.server import serve as serve_sandboxd

            settings = SandboxdSettings()  # pyright: ignore[reportCallIssue] - from the environment
            configure_logs(_level(settings), role=role)
            _await(serve_sandboxd(settings))
        case "egress":
            from fleet_runtime.egress.config import EgressSettings
            from fleet_runtime.egress.server import serve as serve_egress

            settings = EgressSettings()  # pyright: ignore[reportCallIssue] - from the environment
            configure_logs(_level(settings), role=role, fleet=settings.name)
            # Not uvloop (0.23): its TLS drops what was not read yet when the server ends the connection.
            asyncio.run(serve_egress(settings))
        case "migrate":
            from fleet_runtime.config import DatabaseSettings
            from fleet_runtime.migrations.runner import migrate

            settings = DatabaseSettings()  # pyright: ignore[reportCallIssue] - from the environment
            configure_logs(settings.log_level, role=role, fleet=settings.name)
            migrate(settings.database_url.get_secret_value())
        case "bundle":
            from fleet_runtime.sandboxd.bundle_command import BundleSettings, run_bundle_command

            return run_bundle_command(BundleSettings(), arguments)
        case _:
            from fleet_runtime.config import DatabaseSettings
            from fleet_runtime.operator_commands import run_operator_command

            settings = DatabaseSettings()  # pyright: ignore[reportCallIssue] - from the environment
            return uvloop.run(run_operator_command(role, settings, arguments))
    return 0


def _level(settings: BaseSettings) -> str:
    return str(getattr(settings, "log_level", "info"))


def _await(role: Coroutine[Any, Any, None]) -> None:
    try:
        uvloop.run(role)
    except asyncio.CancelledError:
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
