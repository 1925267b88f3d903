"""The fleet's programs on a host of systemd: what each is, and which must be healthy before it starts.

All but sandboxd are on the host's network: there they reach the instance's metadata, which nothing that has a network
of its own does. The egress proxy needs none of that and has Docker's own network.
"""

from dataclasses import replace

import pulumi

from agent_fleet.database_workload import database_workload
from agent_fleet.doorbell import doorbell_variables
from agent_fleet.execution_args import ExecutionServiceArgs
from agent_fleet.execution_workloads import (
    RUN_DIRECTORY,
    SANDBOX_TEMPLATE,
    WORKER_METRICS_PORT,
    Program,
    api_workload,
    sandboxd_workload,
    socket_worker,
    worker_workload,
)
from agent_fleet.sandbox_egress import egress_workload, with_egress
from agent_fleet.sandbox_templates import reaching, sandbox_templates
from agent_fleet.systemd.container_unit import HOST_NETWORK
from agent_fleet.systemd.fleet_host import HostWorkload
from agent_fleet.workload import Resources, VolumeMount

LOOPBACK = "127.0.0.1"
_DOCKERS_NETWORK = "bridge"
_VOLUMES = "/var/lib/docker/volumes"


def database_on_host(
    name: str,
    *,
    image: pulumi.Input[str],
    memory_mebibytes: pulumi.Input[int],
    password: pulumi.Input[str],
    folder: str,
) -> HostWorkload:
    """PostgreSQL with its data in a folder of the host's, reached from the host alone."""
    workload = database_workload(
        name,
        image=image,
        resources=Resources(memory_mebibytes=memory_mebibytes, cpus=2),
        password=password,
        data_volume=folder,
        networks=(HOST_NETWORK,),
    )
    return HostWorkload(workload=replace(workload, command=("-c", f"listen_addresses={LOOPBACK}")))


def api_on_host(
    name: str, args: ExecutionServiceArgs, *, keys: pulumi.Input[str] | None, after: tuple[str, ...] = ()
) -> HostWorkload:
    """The API. `keys` are the bootstrap keys that it keeps; None where another API of the fleet does."""
    workload = api_workload(
        name,
        _program(args),
        args["api"],
        keys=keys,
        budgets=args["api"].get("budgets", []) if keys is not None else None,
        networks=(HOST_NETWORK,),
    )
    return HostWorkload(workload=workload, after=after)


def workers_on_host(name: str, args: ExecutionServiceArgs, *, after: tuple[str, ...] = ()) -> list[HostWorkload]:
    """sandboxd with its proxy where jobs may go anywhere, and the workers. `after` must be healthy before a worker."""
    run = VolumeMount(volume=f"{name}-run", path=RUN_DIRECTORY)
    sandboxd = sandboxd_workload(f"{name}-sandboxd", args, sandbox_templates(args), run.volume)
    placed: list[HostWorkload] = []
    egress = args.get("egress")
    if egress is not None:
        proxy = egress_workload(
            f"{name}-egress",
            {"FLEET_NAME": args["fleet"], "FLEET_LOG_LEVEL": args["log_level"]},
            args["image"],
            reaching(args),
            egress,
            run,
            _DOCKERS_NETWORK,
        )
        placed.append(HostWorkload(workload=proxy))
        sandboxd = with_egress(sandboxd, run, f"{_VOLUMES}/{run.volume}/_data")
    # Without the proxy sandboxd does not report itself healthy.
    placed.append(HostWorkload(workload=sandboxd, after=tuple(each.workload.name for each in placed)))
    for number in range(args["workers"]["count"]):
        worker = f"{name}-worker" if number == 0 else f"{name}-worker-{number + 1}"
        workload = worker_workload(
            worker,
            _program(args),
            args["workers"],
            socket_worker(run.volume, SANDBOX_TEMPLATE),
            metrics_port=WORKER_METRICS_PORT + number,
            networks=(HOST_NETWORK,),
        )
        placed.append(HostWorkload(workload=workload, after=(sandboxd.name, *after)))
    return placed


def _program(args: ExecutionServiceArgs) -> Program:
    return Program(
        fleet=args["fleet"],
        image=args["image"],
        database_url=args["database_url"],
        log_level=args["log_level"],
        doorbell=doorbell_variables(args.get("doorbell")),
        otlp_endpoint=args.get("otlp_endpoint"),
    )
