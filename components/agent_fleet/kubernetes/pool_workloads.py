"""A pool's two programs: the API pinned to its agent type, and the worker that uses pods as sandboxes."""

from agent_fleet.doorbell import doorbell_variables
from agent_fleet.execution_args import WorkerLimits
from agent_fleet.execution_workloads import (
    FLEET_USER,
    RUN_DIRECTORY,
    SANDBOXD_SOCKET,
    WORKER_METRICS_PORT,
    Program,
    WorkersSandboxes,
    api_workload,
    worker_workload,
)
from agent_fleet.inputs import json_text
from agent_fleet.kubernetes.agent_pool_args import (
    DEFAULT_LONGEST_JOB_SECONDS,
    DEFAULT_ROUTED_SECONDS,
    AgentPoolArgs,
    PoolWorkerArgs,
    api_limits,
    pod_resources,
)
from agent_fleet.kubernetes.sandbox_pool import selector_text
from agent_fleet.sandbox_spec import SandboxSpec
from agent_fleet.workload import CredentialsMount, Mount, ScratchMount, VolumeMount, Workload

CREDENTIALS_DIRECTORY = "/var/run/secrets/fleet"
WORKSPACE_DIRECTORY = "/workspace"
DEFAULT_CONCURRENCY = 2
DEFAULT_WARM = 1
DEFAULT_SANDBOX_MEMORY_MEBIBYTES = 256
DEFAULT_SANDBOX_CPUS = 0.5
DEFAULT_SANDBOX_SCRATCH_MEBIBYTES = 64
POD_STOP_MARGIN_SECONDS = 60
"""From the end of the drain until the kill: to end the last job, delete its sandbox and leave the database takes 55 s
where each of these runs into its own time limit."""


def held_sandboxes(worker: PoolWorkerArgs) -> int:
    """The most sandboxes that one worker holds: those of its jobs, and those that it has claimed ahead."""
    return worker.get("concurrency", DEFAULT_CONCURRENCY) + worker.get("warm", DEFAULT_WARM)


def pool_template(args: AgentPoolArgs) -> str:
    """The template whose jobs are this pool's."""
    return args.get("template", f"{args['team']}-{args['agent_type']}")


def pool_workloads(args: AgentPoolArgs) -> tuple[Workload, Workload]:
    """The API and the worker of one pod, which take half of its resources each.

    Raises ValueError for resources that are none, or a request above its limit.
    """
    worker = args.get("worker", {})
    longest_job_seconds = worker.get("longest_job_seconds", DEFAULT_LONGEST_JOB_SECONDS)
    program = Program(
        fleet=args["fleet"],
        image=args["image"],
        database_url=args["database_url"],
        log_level=args.get("log_level", "info"),
        doorbell=doorbell_variables(args.get("doorbell")),
        otlp_endpoint=args.get("otlp_endpoint"),
    )
    resources = pod_resources(args.get("resources", {}), containers=2)
    api = api_workload(
        f"{args['agent_type']}-api",
        program,
        api_limits(args.get("api", {}), longest_job_seconds),
        # The fleet's own API keeps the keys: one that is missing here would be revoked there.
        keys=None,
        budgets=None,
        resources=resources,
        routing={
            "FLEET_TEMPLATE": pool_template(args),
            "FLEET_TENANT": args["team"],
            "FLEET_AGENT_TYPE": args["agent_type"],
        },
        routed_seconds=args.get("routed_seconds", DEFAULT_ROUTED_SECONDS),
    )
    limits = WorkerLimits(
        concurrency=worker.get("concurrency", DEFAULT_CONCURRENCY),
        drain_seconds=longest_job_seconds,
        lease_seconds=worker.get("lease_seconds", 30),
        lease_renew_seconds=worker.get("lease_renew_seconds", 10),
    )
    return api, worker_workload(
        f"{args['agent_type']}-worker",
        program,
        limits,
        _pod_sandboxes(args),
        resources=resources,
        metrics_port=WORKER_METRICS_PORT,
        stop_margin_seconds=POD_STOP_MARGIN_SECONDS,
    )


def _pod_sandboxes(args: AgentPoolArgs) -> WorkersSandboxes:
    template = pool_template(args)
    mounts: list[Mount] = [
        CredentialsMount(path=CREDENTIALS_DIRECTORY),
        ScratchMount(path=RUN_DIRECTORY, size_mebibytes=1, owner=FLEET_USER),
    ]
    if "workspace_claim" in args:
        mounts.append(VolumeMount(volume=args["workspace_claim"], path=WORKSPACE_DIRECTORY))
    return WorkersSandboxes(
        environment={
            **args.get("settings", {}),
            "FLEET_SANDBOXD_SOCKET": SANDBOXD_SOCKET,
            "FLEET_TEMPLATE": template,
            "FLEET_SANDBOX_BACKEND": "kubernetes",
            "FLEET_SANDBOX_NAMESPACE": args["sandbox_namespace"],
            "FLEET_SANDBOX_SELECTOR": selector_text(args["fleet"], args["agent_type"]),
            **({"FLEET_AGENT_SANDBOX": args["agent_type"]} if args.get("agent_sandbox", False) else {}),
            "FLEET_SANDBOX_TEMPLATES": json_text({template: _sandbox(args).template()}),
            "FLEET_KUBERNETES_CREDENTIALS": CREDENTIALS_DIRECTORY,
            "FLEET_NETWORK_CANARY": args.get("network_canary", "enforce"),
            "FLEET_CANARY_TARGETS": json_text(args.get("canary_targets", [])),
        },
        mounts=tuple(mounts),
        own_name_variable="FLEET_WORKER_ID",
    )


def _sandbox(args: AgentPoolArgs) -> SandboxSpec:
    sandbox, worker = args["sandbox"], args.get("worker", {})
    return SandboxSpec(
        image=sandbox["image"],
        runtime=sandbox.get("runtime_class", "runc"),
        memory_mebibytes=sandbox.get("memory_mebibytes", DEFAULT_SANDBOX_MEMORY_MEBIBYTES),
        cpus=sandbox.get("cpus", DEFAULT_SANDBOX_CPUS),
        processes=sandbox.get("processes", 128),
        scratch_mebibytes=sandbox.get("scratch_mebibytes", DEFAULT_SANDBOX_SCRATCH_MEBIBYTES),
        warm=worker.get("warm", DEFAULT_WARM),
        maximum=held_sandboxes(worker),
        start_timeout_seconds=sandbox.get("start_timeout_seconds", 30),
        cpu_seconds=sandbox.get("cpu_seconds"),
    )
