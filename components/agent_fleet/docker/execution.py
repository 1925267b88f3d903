"""The execution service on one Docker host: API, workers, sandboxd and, where jobs may go anywhere, the proxy."""

import ipaddress

import pulumi
import pulumi_docker as docker

from agent_fleet.agent_types import agent_template, agents_variable
from agent_fleet.api_keys import bootstrap_keys, make_api_key
from agent_fleet.docker.container import container_args, container_options
from agent_fleet.docker.sandbox_egress import egress_proxy
from agent_fleet.doorbell import doorbell_variables
from agent_fleet.execution_args import ExecutionServiceArgs, WorkerLimits
from agent_fleet.execution_workloads import (
    RUN_DIRECTORY,
    SANDBOX_TEMPLATE,
    Program,
    api_workload,
    sandboxd_workload,
    socket_worker,
    worker_workload,
)
from agent_fleet.labels import labels
from agent_fleet.sandbox_egress import with_egress
from agent_fleet.sandbox_spec import whole_number
from agent_fleet.sandbox_templates import reaching, sandbox_templates
from agent_fleet.workload import Publication, VolumeMount

BOOTSTRAP_TENANT = "default"


class ExecutionService(pulumi.ComponentResource):
    """The service that runs untrusted code: it is ready once every one of its containers is healthy.

    The database must be there first: give it as `depends_on`.
    """

    url: pulumi.Output[str]
    """Where the API answers, seen from its host."""
    api_key: pulumi.Output[str]
    """The first key, `fleet_<key id>_<secret>`. A secret; the API itself only ever gets its SHA-256."""

    def __init__(self, name: str, args: ExecutionServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the key, the socket's volume and the containers; see `ExecutionServiceArgs`."""
        super().__init__("agent-fleet:index:ExecutionService", name, {}, opts)
        key = make_api_key(name, BOOTSTRAP_TENANT, self)
        self.api_key = key.key
        run_volume = docker.Volume(
            f"{name}-run",
            name=f"{name}-run",
            labels=[
                docker.VolumeLabelArgs(label=label, value=value)
                for label, value in sorted(labels(args["fleet"], "volume").items())
            ],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        egress = args.get("egress")
        agents = args.get("agents", {})
        proxies: list[pulumi.Resource] = []
        run = VolumeMount(volume=run_volume.name, path=RUN_DIRECTORY)
        if egress is not None:
            common = {"FLEET_NAME": args["fleet"], "FLEET_LOG_LEVEL": args["log_level"]}
            proxies = [egress_proxy(name, args["fleet"], common, args["image"], reaching(args), egress, run, self)]
        sandboxd_alone = sandboxd_workload(
            f"{name}-sandboxd",
            args,
            sandbox_templates(args),
            run_volume.name,
        )
        sandboxd = docker.Container(
            f"{name}-sandboxd",
            container_args(
                sandboxd_alone if egress is None else with_egress(sandboxd_alone, run, run_volume.mountpoint),
                args["fleet"],
            ),
            opts=container_options(self, depends_on=proxies or None),
        )
        api = docker.Container(
            f"{name}-api",
            container_args(
                api_workload(
                    f"{name}-api",
                    _program(args),
                    args["api"],
                    keys=bootstrap_keys([key]),
                    budgets=args["api"].get("budgets", []),
                    routing=agents_variable(agents),
                    published=Publication(address=args["api"]["bind_address"], port=args["api"]["port"]),
                    networks=(args["frontend_network"], args["backend_network"]),
                ),
                args["fleet"],
            ),
            opts=container_options(self),
        )
        # By name: the jobs that each runs at once, and the template of their sandboxes.
        workers: dict[str, tuple[pulumi.Input[int], str]] = {
            f"{name}-worker" if number == 1 else f"{name}-worker-{number}": (
                args["workers"]["concurrency"],
                SANDBOX_TEMPLATE,
            )
            for number in range(1, args["workers"]["count"] + 1)
        }
        workers |= {f"{name}-worker-{each}": (agents[each]["maximum"], agent_template(each)) for each in agents}
        for worker, (concurrency, template) in workers.items():
            docker.Container(
                worker,
                container_args(
                    worker_workload(
                        worker,
                        _program(args),
                        _limits(args, concurrency),
                        socket_worker(run_volume.name, template),
                        networks=_worker_networks(args),
                    ),
                    args["fleet"],
                ),
                # The API brings the database's tables up to date before it is healthy.
                opts=container_options(self, depends_on=[sandboxd, api]),
            )
        self.url = _url(args["api"]["bind_address"], args["api"]["port"])
        self.register_outputs({"url": self.url, "api_key": self.api_key})


def _limits(args: ExecutionServiceArgs, concurrency: pulumi.Input[int]) -> WorkerLimits:
    workers = args["workers"]
    return {
        "concurrency": concurrency,
        "drain_seconds": workers["drain_seconds"],
        "lease_seconds": workers["lease_seconds"],
        "lease_renew_seconds": workers["lease_renew_seconds"],
    }


def _worker_networks(args: ExecutionServiceArgs) -> tuple[pulumi.Input[str], ...]:
    # The backend has no way out, and the collector is outside.
    backend = args["backend_network"]
    return (backend, args["frontend_network"]) if "otlp_endpoint" in args else (backend,)


def _program(args: ExecutionServiceArgs) -> Program:
    return Program(
        fleet=args["fleet"],
        image=args["image"],
        database_url=args["database_url"],
        log_level=args["log_level"],
        doorbell=doorbell_variables(args.get("doorbell")),
        otlp_endpoint=args.get("otlp_endpoint"),
    )


def _url(bind_address: pulumi.Input[str], port: pulumi.Input[int]) -> pulumi.Output[str]:
    def authority(address: str) -> str:
        parsed = ipaddress.ip_address(address)
        if parsed.is_unspecified:
            return "127.0.0.1" if parsed.version == 4 else "[::1]"
        return str(parsed) if parsed.version == 4 else f"[{parsed}]"

    host = pulumi.Output.from_input(bind_address).apply(authority)
    return pulumi.Output.format("http://{0}:{1}", host, whole_number(port))
