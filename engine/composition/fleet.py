"""What runs in the composition: the fleet of one Docker host with its default settings, agents beside it, helpers."""

from dataclasses import replace
from typing import cast

from agent_fleet.database_workload import database_workload
from agent_fleet.doorbell import doorbell_variables
from agent_fleet.execution_args import ApiLimits, ExecutionServiceArgs, WorkerLimits
from agent_fleet.execution_workloads import (
    FLEET_USER,
    SANDBOX_TEMPLATE,
    Program,
    api_workload,
    sandboxd_workload,
    socket_worker,
    worker_workload,
)
from agent_fleet.redis_workload import REDIS_MEMORY_MEBIBYTES, redis_workload
from agent_fleet.sandbox_spec import SandboxSpec
from agent_fleet.workload import (
    TEMPORARY_DIRECTORY,
    HttpTarget,
    Port,
    Probe,
    Publication,
    Resources,
    ScratchMount,
    VolumeMount,
    Workload,
)

from engine.composition.variables import FLEET, MCP_PROXY_URL, image
from settings.model import Settings

NETWORK = "fleet"
DATA_VOLUME = "database"
RUN_VOLUME = "run"
WORKSPACE_VOLUME = "workspace"
MCP_PORT = 8096
DOCKER_SOCKET = "/var/run/docker.sock"

IMPLEMENTATION_AGENTS = 3
TESTING_AGENTS = 1
"""H2 has so many of each."""
AGENT_RESOURCES = Resources(memory_mebibytes=512, cpus=0.5)
"""The limits that an agent has in a cluster (H3)."""
AGENT_HOME = ScratchMount(path="/home/agent", size_mebibytes=128, owner=FLEET_USER)
"""Its root is read-only, and tools keep their caches and settings in the user's home."""

AGENT_HEALTH = ("/usr/bin/python3", "-IS", "/usr/local/lib/agent/health.py")
"""The images' own check (A5)."""


def orchestrator() -> list[Workload]:
    """Database, doorbell, API, sandboxd and worker, as the stack `local` has them by default."""
    settings = Settings(architecture="vm")
    program = Program(
        fleet=FLEET,
        image=image("runtime"),
        database_url="",
        log_level=settings.log_level,
        doorbell=doorbell_variables({"kind": "redis", "url": ""}),
    )
    api: ApiLimits = {
        "languages": list(settings.sandbox.languages),
        "default_timeout_seconds": settings.api.default_timeout_seconds,
        "max_timeout_seconds": settings.limits.task_timeout_seconds,
        "max_attempts": settings.limits.max_attempts,
        "result_ttl_seconds": settings.api.result_ttl_seconds,
        "tombstone_ttl_seconds": settings.api.tombstone_ttl_seconds,
        "queue_limit": settings.api.queue_limit,
    }
    worker: WorkerLimits = {
        "concurrency": settings.workers.concurrency,
        "drain_seconds": settings.workers.drain_seconds,
        "lease_seconds": settings.workers.lease_seconds,
        "lease_renew_seconds": settings.workers.lease_renew_seconds,
    }
    networks = (NETWORK,)
    return [
        database_workload(
            "database",
            image=image("postgres"),
            resources=Resources(memory_mebibytes=settings.database.memory_mebibytes, cpus=2),
            password="",
            data_volume=DATA_VOLUME,
            networks=networks,
        ),
        redis_workload(
            "redis",
            image=image("redis"),
            resources=Resources(memory_mebibytes=REDIS_MEMORY_MEBIBYTES, cpus=1),
            password="",
            networks=networks,
        ),
        sandboxd_workload("sandboxd", _service(settings), {SANDBOX_TEMPLATE: _sandbox(settings)}, RUN_VOLUME),
        api_workload(
            "api",
            program,
            api,
            keys="",
            budgets=None,
            published=Publication(address=settings.api.bind_address, port=settings.api.port),
            networks=networks,
        ),
        worker_workload("worker", program, worker, socket_worker(RUN_VOLUME), networks=networks),
    ]


def agents() -> list[Workload]:
    """The standing agents, all on one workspace: to be given commands by `docker compose exec`."""
    return [
        *(_agent(f"implementation-{number}", "agent-node") for number in range(1, IMPLEMENTATION_AGENTS + 1)),
        *(_agent(f"testing-{number}", "agent-python") for number in range(1, TESTING_AGENTS + 1)),
    ]


def devtools() -> Workload:
    """A shell with every toolchain, on the agents' workspace and network."""
    return replace(
        _agent("devtools", "agent-full"), role="devtools", resources=Resources(memory_mebibytes=2048, cpus=2)
    )


def mcp_proxy() -> Workload:
    """MCP servers that speak over standard input, over HTTP for the agents, whose network alone it shares."""
    status = HttpTarget(port="mcp", path="/status")
    return Workload(
        name="mcp-proxy",
        role="mcp-proxy",
        image=image("mcp-proxy"),
        command=(),
        user=FLEET_USER,
        resources=Resources(memory_mebibytes=256, cpus=0.5, processes=128),
        probe=Probe(command=("mcp-healthcheck",), target=status, interval_seconds=30, timeout_seconds=10),
        stop_grace_seconds=10,
        ports=(Port(name="mcp", number=MCP_PORT),),
        networks=(NETWORK,),
    )


def _agent(name: str, image_name: str) -> Workload:
    return Workload(
        name=name,
        role="agent",
        image=image(image_name),
        command=(),
        user=FLEET_USER,
        resources=AGENT_RESOURCES,
        probe=Probe(command=AGENT_HEALTH, interval_seconds=30, timeout_seconds=10),
        stop_grace_seconds=10,
        environment={"MCP_PROXY_URL": MCP_PROXY_URL},
        mounts=(VolumeMount(volume=WORKSPACE_VOLUME, path="/workspace"), AGENT_HOME, TEMPORARY_DIRECTORY),
        networks=(NETWORK,),
    )


def _sandbox(settings: Settings) -> SandboxSpec:
    sandbox = settings.sandbox
    return SandboxSpec(
        image=image("sandbox"),
        runtime=sandbox.runtime,
        memory_mebibytes=sandbox.memory_mebibytes,
        cpus=sandbox.cpus,
        processes=sandbox.processes,
        scratch_mebibytes=sandbox.scratch_mebibytes,
        warm=sandbox.warm,
        maximum=sandbox.maximum,
        start_timeout_seconds=sandbox.start_timeout_seconds,
    )


def _service(settings: Settings) -> ExecutionServiceArgs:
    # sandboxd is told these four; the rest is the other programs'.
    told = {
        "fleet": FLEET,
        "image": image("runtime"),
        "docker_socket": DOCKER_SOCKET,
        "log_level": settings.log_level,
    }
    return cast("ExecutionServiceArgs", told)
