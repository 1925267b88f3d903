"""The fleet's API in a cluster: takes the jobs of every team and sends each to its pool."""

import json

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.api_keys import ApiKey, bootstrap_keys, make_api_key
from agent_fleet.container_memory import API_LEAST_MEBIBYTES
from agent_fleet.doorbell import doorbell_variables
from agent_fleet.execution_workloads import Program, api_workload
from agent_fleet.kubernetes.agent_pool_args import (
    DEFAULT_LONGEST_JOB_SECONDS,
    DEFAULT_ROUTED_SECONDS,
    PodResourcesArgs,
    api_limits,
    pod_resources,
)
from agent_fleet.kubernetes.api_exposure import api_policies, api_url, api_way_in, check_exposure, service_spec
from agent_fleet.kubernetes.fleet_api_args import FleetApiArgs
from agent_fleet.kubernetes.object_labels import metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.quantities import mebibytes
from agent_fleet.kubernetes.rollout import Placement, roll_out
from agent_fleet.workload import Resources, Workload

ROLE = "api"


class FleetApi(pulumi.ComponentResource):
    """The API's Deployment, Service and way in, and one API key for each team."""

    service_name: pulumi.Output[str]
    """The Service in the namespace: port 80 leads to the API."""
    url: pulumi.Output[str]
    """Where the API answers."""
    api_keys: pulumi.Output[dict[str, str]]
    """For each team its first key. A secret; the API itself only ever gets their SHA-256."""

    def __init__(self, name: str, args: FleetApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the API; see `FleetApiArgs`.

        Raises ValueError for a way in that lacks what it needs, for a pool of a team that is not there, and for memory
        that one large request would exceed.
        """
        super().__init__("agent-fleet:index:FleetApi", name, {}, opts)
        check_exposure(args)
        _check_pools(args)
        keys = [make_api_key(f"{name}-{team}", team, self) for team in args["teams"]]
        selected = selector_labels(args["fleet"], ROLE)
        placement = Placement(
            resource_name=name,
            name=ROLE,
            namespace=args["namespace"],
            labels=object_labels(args["fleet"], ROLE),
            selector=selected,
            parent=self,
        )
        rollout = roll_out(
            [_workload(args, keys)],
            placement,
            replicas=args.get("replicas", 2),
            autoscaled=args.get("autoscaled", False),
            pull_policy=args.get("image_pull_policy", "IfNotPresent"),
            after=api_policies(args, placement),
        )
        service = k8s.core.v1.Service(
            name,
            metadata=metadata(ROLE, args["namespace"], placement.labels),
            spec=service_spec(args, selected),
            opts=pulumi.ResourceOptions(parent=self),
        )
        way_in = api_way_in(args, placement, service)
        self.service_name = once_there(ROLE, [service])
        self.url = once_there(api_url(args), [rollout.deployment, service, *way_in])
        self.api_keys = pulumi.Output.secret(pulumi.Output.all(**{each.tenant: each.key for each in keys}))
        self.register_outputs({"service_name": self.service_name, "url": self.url, "api_keys": self.api_keys})


def _workload(args: FleetApiArgs, keys: list[ApiKey]) -> Workload:
    program = Program(
        fleet=args["fleet"],
        image=args["image"],
        database_url=args["database_url"],
        log_level=args.get("log_level", "info"),
        doorbell=doorbell_variables(args.get("doorbell")),
        otlp_endpoint=args.get("otlp_endpoint"),
    )
    return api_workload(
        args["fleet"],
        program,
        api_limits(args.get("api", {}), args.get("longest_job_seconds", DEFAULT_LONGEST_JOB_SECONDS)),
        keys=bootstrap_keys(keys),
        budgets=args.get("budgets", []),
        resources=_resources(args.get("resources", {})),
        routing={"FLEET_POOLS": json.dumps(args["pools"])},
        # Jobs are queued and results kept while no worker is there, as when every pool is scaled to none.
        ready_path="/accepting",
        routed_seconds=DEFAULT_ROUTED_SECONDS,
    )


def _resources(given: PodResourcesArgs) -> Resources:
    limit = given.get("limits_memory", "512Mi")
    if mebibytes(limit, "limits_memory") < API_LEAST_MEBIBYTES:
        raise ValueError(
            f"resources.limits_memory is {limit!r}; one request with 16 MiB of files takes up to "
            f'{API_LEAST_MEBIBYTES} MiB in the API: allowed from "{API_LEAST_MEBIBYTES}Mi"'
        )
    return pod_resources(given, containers=1)


def _check_pools(args: FleetApiArgs) -> None:
    unknown = sorted({pool["tenant"] for pool in args["pools"]} - set(args["teams"]))
    if unknown:
        raise ValueError(
            f"pools name the teams {', '.join(unknown)}, which would have no key; "
            f"teams are {', '.join(args['teams']) or 'none'}: add them to teams"
        )
