"""The hosts of `queue`: what runs on an API host and on a worker host, what they may do, and how many there are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pulumi
from agent_fleet import ApiGroup, ExecutionServiceArgs, HostAccount, HostArgs, WorkerGroup, WorkerGroupArgs
from agent_fleet.api_keys import bootstrap_keys
from agent_fleet.aws.host_group import DRAIN_HOOK, LAUNCH_HOOK
from agent_fleet.aws.host_user_data import host_secret_text, host_user_data
from agent_fleet.aws.instance_role import put_metrics
from agent_fleet.aws.policy_documents import Statement, account_of, partition_of
from agent_fleet.aws.worker_group_args import Capacity, group_name
from agent_fleet.systemd.container_unit import HOST_NETWORK
from agent_fleet.systemd.fleet_host import METRICS_NAMESPACE, HostWorkload
from agent_fleet.systemd.service_workloads import api_on_host, workers_on_host

from architectures.queue_doorbell import Doorbell
from architectures.queue_foundation import Foundation
from architectures.queue_images import QueueImages
from architectures.service_settings import service_args
from settings.model import Settings
from settings.queue_model import usual_jobs_per_host

BACKLOG_METRIC, BACKLOG_DIMENSION = "Backlog", "Fleet"
"""As the runtime's `api/backlog_metric.py` calls them."""


def backlog_namespace(fleet: str) -> str:
    """The namespace that the fleet's API hosts alone may write to: IAM knows nothing narrower of a metric.

    In one with the hosts' own metrics, any host of any fleet in the account could have this one's started by the dozen.
    """
    return f"{METRICS_NAMESPACE}/{fleet}"


def api_hosts(
    fleet: str,
    settings: Settings,
    foundation: Foundation,
    images: QueueImages,
    doorbell: Doorbell,
    on_aws: pulumi.ResourceOptions,
) -> ApiGroup:
    """The API, on hosts that run nothing else."""
    name, given = f"{fleet}-api", settings.queue.api
    api = api_on_host(
        name,
        _service_args(fleet, settings, foundation, images, doorbell),
        keys=bootstrap_keys([foundation.api_key]),
    )
    namespace = backlog_namespace(fleet)
    told = {"FLEET_BACKLOG_NAMESPACE": namespace, "FLEET_BACKLOG_REGION": settings.aws.region}
    workloads = [_with(api, told)]
    statements = [*doorbell.api_statements, {**put_metrics(namespace), "Sid": "PutBacklog"}]
    account = _account(name, fleet, settings, "api", workloads, [images.runtime], statements, on_aws)
    return ApiGroup(
        name,
        {
            "fleet": fleet,
            "subnet_ids": foundation.network.private_subnet_ids,
            "host": _host(settings, account, foundation.api_firewall.security_group_id),
            "user_data": _user_data(fleet, settings, workloads, [], account),
            "instance_type": given.instance_type,
            "minimum": given.minimum,
            "maximum": given.maximum,
            "cpu_percent": given.cpu_percent,
            "target_group_arn": foundation.balancer.target_group_arn,
            "warm_up_seconds": settings.queue.scaling.warm_up_seconds,
        },
        opts=pulumi.ResourceOptions.merge(
            on_aws, pulumi.ResourceOptions(depends_on=[*foundation.ways, *doorbell.ways])
        ),
    )


def worker_hosts(
    fleet: str,
    settings: Settings,
    foundation: Foundation,
    images: QueueImages,
    doorbell: Doorbell,
    api: ApiGroup,
    on_aws: pulumi.ResourceOptions,
) -> WorkerGroup:
    """The workers, each host with a sandboxd that is the only one with its Docker socket."""
    name, queue = f"{fleet}-workers", settings.queue
    workloads = workers_on_host(fleet, _service_args(fleet, settings, foundation, images, doorbell))
    statements = [*doorbell.worker_statements, _finish_draining(name, foundation)]
    account = _account(
        name, fleet, settings, "workers", workloads, [images.runtime, images.sandbox], statements, on_aws
    )

    def user_data(capacity: Capacity) -> pulumi.Output[str]:
        told = {
            "FLEET_HOST_NOTICES": "imds",
            "FLEET_REBALANCE": queue.rebalance,
            "FLEET_LIFECYCLE_GROUP": group_name(name, capacity),
            "FLEET_LIFECYCLE_HOOK": DRAIN_HOOK,
            "FLEET_LAUNCH_HOOK": LAUNCH_HOOK,
        }
        placed = [_with(each, told) if each.workload.role == "worker" else each for each in workloads]
        return _user_data(fleet, settings, placed, [images.sandbox], account)

    args: WorkerGroupArgs = {
        "fleet": fleet,
        "subnet_ids": foundation.network.private_subnet_ids,
        "host": _host(settings, account, foundation.worker_firewall.security_group_id),
        "backlog": {
            "namespace": backlog_namespace(fleet),
            "name": BACKLOG_METRIC,
            "dimensions": {BACKLOG_DIMENSION: fleet},
            "jobs_per_host": queue.scaling.jobs_per_host or usual_jobs_per_host(settings.workers.concurrency),
        },
        "drain_seconds": settings.workers.drain_seconds,
        "warm_up_seconds": queue.scaling.warm_up_seconds,
    }
    if queue.on_demand is not None and queue.on_demand.maximum > 0:
        args["on_demand"] = {
            "user_data": user_data("on-demand"),
            "instance_type": queue.on_demand.instance_type,
            "minimum": queue.on_demand.minimum,
            "maximum": queue.on_demand.maximum,
            "warm_hosts": queue.on_demand.warm_hosts,
        }
    if queue.spot is not None:
        args["spot"] = {
            "user_data": user_data("spot"),
            "instance_types": queue.spot.instance_types,
            "minimum": queue.spot.minimum,
            "maximum": queue.spot.maximum,
        }
    # The API makes the database's tables before it answers.
    after = pulumi.ResourceOptions(depends_on=[api, *foundation.ways, *doorbell.ways])
    return WorkerGroup(name, args, opts=pulumi.ResourceOptions.merge(on_aws, after))


def _service_args(
    fleet: str, settings: Settings, foundation: Foundation, images: QueueImages, doorbell: Doorbell
) -> ExecutionServiceArgs:
    args = service_args(
        fleet,
        settings,
        runtime=images.runtime,
        sandbox=images.sandbox,
        database_url=foundation.database.url,
        frontend_network=HOST_NETWORK,
        backend_network=HOST_NETWORK,
    )
    if doorbell.args is not None:
        args["doorbell"] = doorbell.args
    return args


def _with(placed: HostWorkload, variables: Mapping[str, str]) -> HostWorkload:
    workload = placed.workload
    return replace(placed, workload=replace(workload, environment={**workload.environment, **variables}))


def _host(settings: Settings, account: HostAccount, security_group_id: pulumi.Output[str]) -> HostArgs:
    args: HostArgs = {
        "image_architecture": settings.queue.image_architecture,
        "disk_gibibytes": settings.queue.disk_gibibytes,
        "instance_profile_arn": account.instance_profile_arn,
        "security_group_id": security_group_id,
    }
    if settings.queue.machine_image is not None:
        args["machine_image"] = settings.queue.machine_image
    return args


def _account(
    name: str,
    fleet: str,
    settings: Settings,
    purpose: str,
    workloads: Sequence[HostWorkload],
    images: Sequence[pulumi.Input[str]],
    statements: Sequence[Statement],
    on_aws: pulumi.ResourceOptions,
) -> HostAccount:
    return HostAccount(
        name,
        {
            "fleet": fleet,
            "purpose": purpose,
            "secret_text": host_secret_text(workloads),
            "images": images,
            "metrics_namespace": METRICS_NAMESPACE,
            "statements": statements,
            "log_retention_days": settings.aws.log_retention_days,
            "deletion_protection": settings.aws.deletion_protection,
        },
        opts=on_aws,
    )


def _user_data(
    fleet: str,
    settings: Settings,
    workloads: Sequence[HostWorkload],
    sandbox_images: Sequence[pulumi.Input[str]],
    account: HostAccount,
) -> pulumi.Output[str]:
    return host_user_data(
        fleet,
        settings.aws.region,
        workloads,
        sandbox_images=sandbox_images,
        secret_arn=account.secret_arn,
        secret_version=account.secret_version,
        log_group=account.log_group_name,
    )


def _finish_draining(name: str, foundation: Foundation) -> Statement:
    """To keep its own group's hook waiting while jobs run, and to complete it, as that of its launch."""
    known = foundation.balancer.target_group_arn
    groups = [
        pulumi.Output.format(
            "arn:{0}:autoscaling:*:{1}:autoScalingGroup:*:autoScalingGroupName/{2}",
            partition_of(known),
            account_of(known),
            group_name(name, capacity),
        )
        for capacity in ("on-demand", "spot")
    ]
    return {
        "Sid": "FinishDraining",
        "Effect": "Allow",
        "Action": ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
        "Resource": groups,
    }
