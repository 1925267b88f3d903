"""`vm` on `ec2`: the whole fleet on one instance, behind a load balancer with TLS or with an address of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random
from agent_fleet import DataDisk, DockerHost, DockerHostArgs, HostAccount, LoadBalancer, Network
from agent_fleet.api_keys import bootstrap_keys, make_api_key
from agent_fleet.aws.host_user_data import DATA_FOLDER, host_secret_text, host_user_data
from agent_fleet.database_workload import POSTGRES_USER, database_url
from agent_fleet.execution_workloads import API_PORT
from agent_fleet.systemd.container_unit import HOST_NETWORK
from agent_fleet.systemd.fleet_host import METRICS_NAMESPACE, HostWorkload
from agent_fleet.systemd.service_workloads import LOOPBACK, api_on_host, database_on_host, workers_on_host

from architectures.images import cluster_images
from architectures.service_settings import service_args
from settings.host_relations import architecture_of_host
from settings.model import Settings

BOOTSTRAP_TENANT = "default"
_DATABASE_FOLDER = "database"
_ENDPOINTS = ("ecr.api", "ecr.dkr", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages")
"""What a host without a way to the internet calls. Its packages come from S3, which has a gateway."""
_DEREGISTRATION_SECONDS = 30


@dataclass(frozen=True)
class Deployment:
    """What the stack's outputs are."""

    outputs: Mapping[str, pulumi.Output[str]]


def deploy(fleet: str, settings: Settings) -> Deployment:
    """Network, then the host with all that runs on it, then the way to it."""
    on_aws = pulumi.ResourceOptions(providers=[aws.Provider("aws", region=settings.aws.region)])
    network = _network(fleet, settings, on_aws)
    images = cluster_images(fleet, settings)
    # Renaming either makes a new one: the database takes it at its next start, and an old key is revoked.
    password = random.RandomPassword(f"{fleet}-database-password", length=40, special=False)
    key = make_api_key(fleet, BOOTSTRAP_TENANT, None)
    args = service_args(
        fleet,
        settings,
        runtime=images.runtime,
        sandbox=images.sandbox,
        database_url=database_url(password.result, LOOPBACK),
        frontend_network=HOST_NETWORK,
        backend_network=HOST_NETWORK,
    )
    database = database_on_host(
        f"{fleet}-database",
        image=images.postgres,
        memory_mebibytes=settings.database.memory_mebibytes,
        password=password.result,
        folder=f"{DATA_FOLDER}/{_DATABASE_FOLDER}",
    )
    api = api_on_host(f"{fleet}-api", args, keys=bootstrap_keys([key]), after=(database.workload.name,))
    workers = workers_on_host(fleet, args, after=(api.workload.name,))
    workloads = [database, api, *workers]
    account = _account(fleet, settings, workloads, images.sandbox, on_aws)
    disk = _disk(fleet, settings, on_aws)
    user_data = host_user_data(
        fleet,
        settings.aws.region,
        workloads,
        sandbox_images=[images.sandbox],
        secret_arn=account.secret_arn,
        secret_version=account.secret_version,
        log_group=account.log_group_name,
        data_volume_id=disk.volume_id,
        data_folders=[(_DATABASE_FOLDER, f"{POSTGRES_USER.uid}:{POSTGRES_USER.gid}")],
    )
    host = DockerHost(fleet, _host_args(fleet, settings, network, account, disk, user_data), opts=on_aws)
    outputs = {
        **_entrance(fleet, settings, network, host, on_aws),
        "api_key": key.key,
        "instance_id": host.instance_id,
        "log_group": account.log_group_name,
    }
    return Deployment(outputs)


def _network(fleet: str, settings: Settings, on_aws: pulumi.ResourceOptions) -> Network:
    given, entrance = settings.aws, settings.entrance
    isolated = given.nat == "none" and entrance.kind == "load_balancer"
    return Network(
        fleet,
        {
            "fleet": fleet,
            "region": given.region,
            "zones": given.zones,
            "cidr": given.cidr,
            "nat": given.nat,
            "public_subnets": entrance.kind == "public_address" or not entrance.internal,
            "interface_endpoints": _ENDPOINTS if isolated else (),
            "log_retention_days": given.log_retention_days,
        },
        opts=on_aws,
    )


def _account(
    fleet: str,
    settings: Settings,
    workloads: Sequence[HostWorkload],
    sandbox_image: pulumi.Input[str],
    on_aws: pulumi.ResourceOptions,
) -> HostAccount:
    return HostAccount(
        fleet,
        {
            "fleet": fleet,
            "purpose": "host",
            "secret_text": host_secret_text(workloads),
            "images": [*(each.workload.image for each in workloads), sandbox_image],
            "metrics_namespace": METRICS_NAMESPACE,
            "log_retention_days": settings.aws.log_retention_days,
            "deletion_protection": settings.aws.deletion_protection,
        },
        opts=on_aws,
    )


def _disk(fleet: str, settings: Settings, on_aws: pulumi.ResourceOptions) -> DataDisk:
    snapshots = settings.host.snapshots
    return DataDisk(
        fleet,
        {
            "fleet": fleet,
            "zone": settings.aws.zones[0],
            "gibibytes": settings.host.data_gibibytes,
            "snapshot_interval_hours": snapshots.interval_hours,
            "snapshots_kept": snapshots.kept,
            "deletion_protection": settings.aws.deletion_protection,
        },
        opts=on_aws,
    )


def _host_args(
    fleet: str,
    settings: Settings,
    network: Network,
    account: HostAccount,
    disk: DataDisk,
    user_data: pulumi.Input[str],
) -> DockerHostArgs:
    host, telemetry = settings.host, settings.telemetry
    public = settings.entrance.kind == "public_address"
    subnets = network.public_subnet_ids if public else network.private_subnet_ids
    return {
        "fleet": fleet,
        "vpc_id": network.vpc_id,
        "subnet_id": subnets.apply(lambda ids: ids[0]),
        "instance_type": host.instance_type,
        "processors": architecture_of_host(settings),
        "machine_image": host.machine_image,
        "root_gibibytes": host.root_gibibytes,
        "data_volume_id": disk.volume_id,
        "instance_profile_name": account.instance_profile_name,
        "user_data": user_data,
        "public_client_cidrs": settings.entrance.client_cidrs if public else (),
        "public_port": API_PORT,
        "egress_ports": () if telemetry.otlp_endpoint is None else (telemetry.collector_port,),
        "deletion_protection": settings.aws.deletion_protection,
    }


def _entrance(
    fleet: str, settings: Settings, network: Network, host: DockerHost, on_aws: pulumi.ResourceOptions
) -> Mapping[str, pulumi.Output[str]]:
    entrance = settings.entrance
    if entrance.kind == "public_address":
        return {"url": pulumi.Output.concat("http://", host.public_address, f":{API_PORT}")}
    balancer = LoadBalancer(
        fleet,
        {
            "fleet": fleet,
            "vpc_id": network.vpc_id,
            "subnet_ids": network.private_subnet_ids if entrance.internal else network.public_subnet_ids,
            "internal": entrance.internal,
            "certificate_arn": entrance.certificate_arn or "",
            "host": entrance.host,
            "client_cidrs": entrance.client_cidrs,
            "target_security_group_id": host.security_group_id,
            "target_instance_ids": [host.instance_id],
            "target_port": API_PORT,
            "ready_path": "/accepting",
            "deregistration_seconds": _DEREGISTRATION_SECONDS,
            "deletion_protection": settings.aws.deletion_protection,
        },
        opts=on_aws,
    )
    return {"url": balancer.url, "load_balancer": balancer.dns_name}
