"""The service's programs as `Workload`s: pure descriptions, the same whatever renders them.

The environment variables are those of the runtime image (`images/runtime/fleet_runtime/config.py` and
`sandboxd/config.py`).
"""

from collections.abc import Mapping, Sequence

import pulumi

from agent_fleet.execution_args import ExecutionServiceArgs
from agent_fleet.sandbox_spec import SandboxSpec, whole_number
from agent_fleet.workload import (
    TEMPORARY_DIRECTORY,
    HostPathMount,
    Port,
    Probe,
    Publication,
    Resources,
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
RUN_DIRECTORY = "/run/fleet"
SANDBOXD_SOCKET = f"{RUN_DIRECTORY}/sandboxd.sock"
SANDBOX_TEMPLATE = "default"
DOCKER_SOCKET = "/var/run/docker.sock"

WORKER_STOP_MARGIN_SECONDS = 15
"""From the end of the drain until the kill: to hand jobs back and to leave the database."""


def api_workload(
    name: str, args: ExecutionServiceArgs, bootstrap_keys: pulumi.Input[str], networks: tuple[pulumi.Input[str], ...]
) -> Workload:
    """The API: the only one with a published port, and without a way to run code."""
    api = args["api"]
    return Workload(
        name=name,
        role="api",
        image=args["image"],
        command=("api",),
        user=FLEET_USER,
        resources=Resources(memory_mebibytes=384, cpus=2),
        probe=_probe(f"http://127.0.0.1:{API_PORT}/health"),
        # The runtime lets open requests end for 10 s.
        stop_grace_seconds=20,
        environment={
            **_common(args),
            "FLEET_API_LISTEN": f"0.0.0.0:{API_PORT}",
            "FLEET_METRICS_LISTEN": f"0.0.0.0:{METRICS_PORT}",
            "FLEET_LANGUAGES": pulumi.Output.from_input(api["languages"]).apply(_comma_separated),
            "FLEET_DEFAULT_TIMEOUT_SECONDS": _number(api["default_timeout_seconds"]),
            "FLEET_MAX_TIMEOUT_SECONDS": _number(api["max_timeout_seconds"]),
            "FLEET_MAX_ATTEMPTS": _number(api["max_attempts"]),
            "FLEET_RESULT_TTL_SECONDS": _number(api["result_ttl_seconds"]),
            "FLEET_TOMBSTONE_TTL_SECONDS": _number(api["tombstone_ttl_seconds"]),
            "FLEET_QUEUE_LIMIT": _number(api["queue_limit"]),
        },
        secret_environment={"FLEET_DATABASE_URL": args["database_url"], "FLEET_BOOTSTRAP_KEYS": bootstrap_keys},
        ports=(
            Port(
                name="http",
                number=API_PORT,
                published=Publication(address=api["bind_address"], port=api["port"]),
            ),
            Port(name="metrics", number=METRICS_PORT),
        ),
        networks=networks,
    )


def worker_workload(
    name: str, args: ExecutionServiceArgs, run_volume: pulumi.Input[str], networks: tuple[pulumi.Input[str], ...]
) -> Workload:
    """A worker: claims jobs and hands them to sandboxd; it cannot create containers itself."""
    workers = args["workers"]
    return Workload(
        name=name,
        role="worker",
        image=args["image"],
        command=("worker",),
        user=FLEET_USER,
        resources=Resources(memory_mebibytes=512, cpus=2),
        probe=_probe(f"http://127.0.0.1:{METRICS_PORT}/health"),
        stop_grace_seconds=workers["drain_seconds"] + WORKER_STOP_MARGIN_SECONDS,
        environment={
            **_common(args),
            "FLEET_METRICS_LISTEN": f"0.0.0.0:{METRICS_PORT}",
            "FLEET_SANDBOXD_SOCKET": SANDBOXD_SOCKET,
            "FLEET_TEMPLATE": SANDBOX_TEMPLATE,
            "FLEET_CONCURRENCY": _number(workers["concurrency"]),
            "FLEET_LEASE_SECONDS": _number(workers["lease_seconds"]),
            "FLEET_LEASE_RENEW_SECONDS": _number(workers["lease_renew_seconds"]),
            "FLEET_DRAIN_SECONDS": str(workers["drain_seconds"]),
        },
        secret_environment={"FLEET_DATABASE_URL": args["database_url"]},
        ports=(Port(name="metrics", number=METRICS_PORT),),
        mounts=(VolumeMount(volume=run_volume, path=RUN_DIRECTORY, read_only=True), TEMPORARY_DIRECTORY),
        networks=networks,
    )


def sandboxd_workload(
    name: str, args: ExecutionServiceArgs, sandbox: SandboxSpec, run_volume: pulumi.Input[str]
) -> Workload:
    """sandboxd: the only one that may create containers, hence without any network."""
    return Workload(
        name=name,
        role="sandboxd",
        image=args["image"],
        command=("sandboxd",),
        user=SANDBOXD_USER,
        resources=Resources(memory_mebibytes=384, cpus=2),
        probe=_probe(f"unix:{SANDBOXD_SOCKET}"),
        # The runtime takes down its sandboxes for at most 15 s.
        stop_grace_seconds=30,
        environment={
            **_common(args),
            "FLEET_SANDBOXD_SOCKET": SANDBOXD_SOCKET,
            "FLEET_SANDBOXD_ALLOWED_UIDS": str(FLEET_USER.uid),
            "FLEET_SANDBOXD_SOCKET_GID": str(FLEET_USER.gid),
            "FLEET_DOCKER_HOST": f"unix://{DOCKER_SOCKET}",
            "FLEET_SANDBOX_TEMPLATES": pulumi.Output.json_dumps({SANDBOX_TEMPLATE: sandbox.template()}),
        },
        mounts=(
            VolumeMount(volume=run_volume, path=RUN_DIRECTORY),
            HostPathMount(host_path=args["docker_socket"], path=DOCKER_SOCKET),
            TEMPORARY_DIRECTORY,
        ),
    )


def _common(args: ExecutionServiceArgs) -> Mapping[str, pulumi.Input[str]]:
    return {"FLEET_LOG_LEVEL": args["log_level"], "FLEET_NAME": args["fleet"]}


def _probe(target: str) -> Probe:
    return Probe(command=("/opt/fleet/bin/python", "-S", "/opt/fleet/healthcheck.py", target))


def _comma_separated(values: Sequence[pulumi.Input[str]]) -> str:
    return ",".join(str(value) for value in values)


def _number(value: pulumi.Input[int]) -> pulumi.Output[str]:
    return whole_number(value).apply(str)
