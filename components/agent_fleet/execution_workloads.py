"""The service's programs as `Workload`s: pure descriptions, the same whatever renders them.

The environment variables are those of the runtime image (`images/runtime/fleet_runtime/config.py` and
`sandboxd/config.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from agent_fleet.container_memory import large_bodies
from agent_fleet.doorbell import DoorbellVariables
from agent_fleet.execution_args import ApiLimits, ExecutionServiceArgs, TenantBudgetArgs, WorkerLimits
from agent_fleet.inputs import applied, json_text
from agent_fleet.sandbox_spec import SandboxSpec, whole_number
from agent_fleet.workload import (
    TEMPORARY_DIRECTORY,
    HostPathMount,
    HttpTarget,
    Mount,
    Port,
    Probe,
    Publication,
    Resources,
    TcpTarget,
    User,
    VolumeMount,
    Workload,
)

FLEET_USER = User(uid=1001, gid=1001)
# sandboxd owns the Docker socket, which belongs to root, and hands its own socket to the workers' group. It is root
# without a single capability.
SANDBOXD_USER = User(uid=0, gid=0, supplementary_gids=(FLEET_USER.gid,))

API_PORT = 8080
METRICS_PORT = 9090
WORKER_METRICS_PORT = 9091
"""Where API and worker share one network address."""

RUN_DIRECTORY = "/run/fleet"
SANDBOXD_SOCKET = f"{RUN_DIRECTORY}/sandboxd.sock"
SANDBOX_TEMPLATE = "default"
DOCKER_SOCKET = "/var/run/docker.sock"

_HEALTH_CHECK = ("/opt/fleet/bin/python", "-S", "/opt/fleet/healthcheck.py")

_API_RESOURCES = Resources(memory_mebibytes=384, cpus=2)
_WORKER_RESOURCES = Resources(memory_mebibytes=512, cpus=2)

WORKER_STOP_MARGIN_SECONDS = 15
"""From the end of the drain until the kill: to hand jobs back and to leave the database."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What API and worker of one service have in common."""

    fleet: pulumi.Input[str]
    image: pulumi.Input[str]
    """The runtime image, by its content."""
    database_url: pulumi.Input[str]
    log_level: pulumi.Input[str]
    doorbell: DoorbellVariables
    """What wakes the workers."""
    otlp_endpoint: pulumi.Input[str] | None = None
    """The collector that spans go to; None where none are made."""


@dataclass(frozen=True, kw_only=True)
class WorkersSandboxes:
    """How a worker reaches its sandboxes: what it is told, and what it mounts for it."""

    environment: Mapping[str, pulumi.Input[str]]
    mounts: tuple[Mount, ...]
    own_name_variable: str | None = None


def socket_worker(run_volume: pulumi.Input[str], template: str = SANDBOX_TEMPLATE) -> WorkersSandboxes:
    """Sandboxes of one template behind sandboxd's socket, on the same Docker host."""
    return WorkersSandboxes(
        environment={"FLEET_SANDBOXD_SOCKET": SANDBOXD_SOCKET, "FLEET_TEMPLATE": template},
        mounts=(VolumeMount(volume=run_volume, path=RUN_DIRECTORY, read_only=True),),
    )


def api_workload(
    name: str,
    program: Program,
    limits: ApiLimits,
    *,
    keys: pulumi.Input[str] | None,
    budgets: Sequence[TenantBudgetArgs] | None,
    resources: Resources = _API_RESOURCES,
    routing: Mapping[str, pulumi.Input[str]] | None = None,
    ready_path: str = "/ready",
    routed_seconds: int = 0,
    published: Publication | None = None,
    networks: tuple[pulumi.Input[str], ...] = (),
) -> Workload:
    """The API: the only one that is reached from outside, and without a way to run code.

    `keys` are the bootstrap keys and `budgets` the tenants' budgets that it keeps, None where another API of the fleet
    does; `routing` says which pool's jobs it takes, by default those of the one template that there is. `ready_path`
    says by what it is routed to: `/ready` while its jobs can be run, `/accepting` while they can be queued.
    """
    secrets: dict[str, pulumi.Input[str]] = _common_secrets(program)
    if keys is not None:
        secrets["FLEET_BOOTSTRAP_KEYS"] = keys
    return Workload(
        name=name,
        role="api",
        image=program.image,
        command=("api",),
        user=FLEET_USER,
        resources=resources,
        probe=_probe(HttpTarget(port="http", path="/health"), API_PORT),
        readiness=_probe(HttpTarget(port="http", path=ready_path), API_PORT),
        # The runtime lets open requests end for 10 s.
        stop_grace_seconds=20,
        routed_seconds=routed_seconds,
        environment={
            **_common(program),
            "FLEET_API_LISTEN": f"0.0.0.0:{API_PORT}",
            "FLEET_METRICS_LISTEN": f"0.0.0.0:{METRICS_PORT}",
            "FLEET_LANGUAGES": applied(limits["languages"], _comma_separated),
            "FLEET_DEFAULT_TIMEOUT_SECONDS": _number(limits["default_timeout_seconds"]),
            "FLEET_MAX_TIMEOUT_SECONDS": _number(limits["max_timeout_seconds"]),
            "FLEET_MAX_ATTEMPTS": _number(limits["max_attempts"]),
            "FLEET_RESULT_TTL_SECONDS": _number(limits["result_ttl_seconds"]),
            "FLEET_TOMBSTONE_TTL_SECONDS": _number(limits["tombstone_ttl_seconds"]),
            "FLEET_QUEUE_LIMIT": _number(limits["queue_limit"]),
            "FLEET_LARGE_BODIES": _number(applied(whole_number(resources.memory_mebibytes), large_bodies)),
            **({} if budgets is None else {"FLEET_TENANT_BUDGETS": json_text(budgets)}),
            **(routing or {}),
        },
        secret_environment=secrets,
        ports=(
            Port(name="http", number=API_PORT, published=published),
            Port(name="metrics", number=METRICS_PORT),
        ),
        networks=networks,
    )


def worker_workload(
    name: str,
    program: Program,
    limits: WorkerLimits,
    sandboxes: WorkersSandboxes,
    *,
    resources: Resources = _WORKER_RESOURCES,
    metrics_port: int = METRICS_PORT,
    stop_margin_seconds: int = WORKER_STOP_MARGIN_SECONDS,
    networks: tuple[pulumi.Input[str], ...] = (),
) -> Workload:
    """A worker: claims jobs and hands them to sandboxes that it cannot create itself.

    `stop_margin_seconds` is from the end of its drain until it is killed.
    """
    health = HttpTarget(port="worker-metrics", path="/health")
    return Workload(
        name=name,
        role="worker",
        image=program.image,
        command=("worker",),
        user=FLEET_USER,
        resources=resources,
        probe=_probe(health, metrics_port),
        # The worker has no more to say about itself: what it can run is the API's answer, from the worker's heartbeat.
        readiness=Probe(target=TcpTarget(port=health.port)),
        stop_grace_seconds=limits["drain_seconds"] + stop_margin_seconds,
        environment={
            **_common(program),
            "FLEET_METRICS_LISTEN": f"0.0.0.0:{metrics_port}",
            "FLEET_CONCURRENCY": _number(limits["concurrency"]),
            "FLEET_LEASE_SECONDS": _number(limits["lease_seconds"]),
            "FLEET_LEASE_RENEW_SECONDS": _number(limits["lease_renew_seconds"]),
            "FLEET_DRAIN_SECONDS": str(limits["drain_seconds"]),
            **sandboxes.environment,
        },
        secret_environment=_common_secrets(program),
        ports=(Port(name="worker-metrics", number=metrics_port),),
        mounts=(*sandboxes.mounts, TEMPORARY_DIRECTORY),
        own_name_variable=sandboxes.own_name_variable,
        networks=networks,
    )


def sandboxd_workload(
    name: str, args: ExecutionServiceArgs, sandboxes: Mapping[str, SandboxSpec], run_volume: pulumi.Input[str]
) -> Workload:
    """sandboxd: the only one that may create containers, hence without any network. `sandboxes` are by template."""
    return Workload(
        name=name,
        role="sandboxd",
        image=args["image"],
        command=("sandboxd",),
        user=SANDBOXD_USER,
        resources=Resources(memory_mebibytes=384, cpus=2),
        probe=Probe(command=(*_HEALTH_CHECK, f"unix:{SANDBOXD_SOCKET}")),
        # The runtime takes down its sandboxes for at most 15 s.
        stop_grace_seconds=30,
        environment={
            "FLEET_LOG_LEVEL": args["log_level"],
            "FLEET_NAME": args["fleet"],
            "FLEET_SANDBOXD_SOCKET": SANDBOXD_SOCKET,
            "FLEET_SANDBOXD_ALLOWED_UIDS": str(FLEET_USER.uid),
            "FLEET_SANDBOXD_SOCKET_GID": str(FLEET_USER.gid),
            "FLEET_DOCKER_HOST": f"unix://{DOCKER_SOCKET}",
            "FLEET_SANDBOX_TEMPLATES": json_text({name: each.template() for name, each in sandboxes.items()}),
        },
        mounts=(
            VolumeMount(volume=run_volume, path=RUN_DIRECTORY),
            HostPathMount(host_path=args["docker_socket"], path=DOCKER_SOCKET),
            TEMPORARY_DIRECTORY,
        ),
    )


def _common(program: Program) -> Mapping[str, pulumi.Input[str]]:
    told = {"FLEET_LOG_LEVEL": program.log_level, "FLEET_NAME": program.fleet, **program.doorbell.environment}
    return told if program.otlp_endpoint is None else {**told, "FLEET_OTLP_ENDPOINT": program.otlp_endpoint}


def _common_secrets(program: Program) -> dict[str, pulumi.Input[str]]:
    return {"FLEET_DATABASE_URL": program.database_url, **program.doorbell.secrets}


def _probe(target: HttpTarget, port: int) -> Probe:
    return Probe(command=(*_HEALTH_CHECK, f"http://127.0.0.1:{port}{target.path}"), target=target)


def _comma_separated(values: Sequence[pulumi.Input[str]]) -> str:
    return ",".join(str(value) for value in values)


def _number(value: pulumi.Input[int]) -> pulumi.Input[str]:
    return applied(whole_number(value), str)
