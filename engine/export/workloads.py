"""What a platform is given to run: the fleet's own workloads, from a stack's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from agent_fleet.doorbell import doorbell_variables
from agent_fleet.execution_workloads import (
    RUN_DIRECTORY,
    SANDBOX_TEMPLATE,
    Program,
    api_workload,
    sandboxd_workload,
    socket_worker,
    worker_workload,
)
from agent_fleet.sandbox_spec import SandboxSpec
from agent_fleet.workload import Workload

from architectures.service_settings import service_args
from settings.model import Settings

SECRETS = ("FLEET_DATABASE_URL", "FLEET_BOOTSTRAP_KEYS")
"""What the platform keeps secret and gives to every role; no file that is written holds any of it."""


@dataclass(frozen=True)
class Exported:
    """The roles of one fleet, without a word about the platform."""

    fleet: str
    api: Workload
    worker: Workload
    worker_environment: Mapping[str, str]
    """Of the process that is both worker and sandboxd."""
    workers: int
    longest_job_seconds: int


def exported(fleet: str, settings: Settings, *, runtime: str, sandbox: str) -> Exported:
    """The roles of these settings with these images. Values are plain: nothing here waits for a deployment."""
    args = service_args(
        fleet,
        settings,
        runtime=runtime,
        sandbox=sandbox,
        database_url="",
        frontend_network="",
        backend_network="",
    )
    program = Program(
        fleet=fleet,
        image=runtime,
        database_url="",
        log_level=settings.log_level,
        doorbell=doorbell_variables(None),
        otlp_endpoint=settings.telemetry.otlp_endpoint,
    )
    api = api_workload("api", program, args["api"], keys="", budgets=args["api"].get("budgets"))
    worker = worker_workload("worker", program, args["workers"], socket_worker(RUN_DIRECTORY))
    given = args["sandbox"]
    spec = SandboxSpec(
        image=sandbox,
        # What the platform has instead; nobody there is asked for it.
        runtime="runc",
        memory_mebibytes=given["memory_mebibytes"],
        cpus=given["cpus"],
        processes=given["processes"],
        scratch_mebibytes=given["scratch_mebibytes"],
        warm=given["warm"],
        maximum=given["maximum"],
        start_timeout_seconds=given["start_timeout_seconds"],
        cpu_seconds=given.get("cpu_seconds"),
    )
    sandboxd = sandboxd_workload("sandboxd", args, {SANDBOX_TEMPLATE: spec}, RUN_DIRECTORY)
    environment = {**plain(worker.environment), "FLEET_SANDBOX_TEMPLATES": ""}
    environment["FLEET_SANDBOX_TEMPLATES"] = plain(sandboxd.environment)["FLEET_SANDBOX_TEMPLATES"]
    return Exported(
        fleet=fleet,
        api=api,
        worker=worker,
        worker_environment=environment,
        workers=settings.workers.count,
        longest_job_seconds=settings.limits.task_timeout_seconds,
    )


def plain(environment: Mapping[str, object]) -> dict[str, str]:
    """Variables whose values are known already. Raises TypeError for one that is not: it could be in no file."""
    unknown = [name for name, value in environment.items() if not isinstance(value, str)]
    if unknown:
        raise TypeError(f"{', '.join(unknown)}: known only when something is deployed")
    return cast("dict[str, str]", dict(environment))


def memory_mebibytes(workload: Workload) -> int:
    """A workload's memory. Raises TypeError for one that is known only when something is deployed."""
    given = workload.resources.memory_mebibytes
    if not isinstance(given, int | float):
        raise TypeError(f"{workload.name}: its memory is known only when something is deployed")
    return int(given)
