"""What the hosts of `queue` stand on: network, firewalls, database, and the load balancer before the API.

Network and database have the names that they have on eks, so that a stack that moves there keeps both.
"""

from dataclasses import dataclass

import pulumi
from agent_fleet import HostFirewall, LoadBalancer, LoadBalancerArgs, ManagedDatabase, Network
from agent_fleet.api_keys import ApiKey, make_api_key
from agent_fleet.execution_workloads import API_PORT

from settings.model import Settings

BOOTSTRAP_TENANT = "default"
DATABASE_PORT = 5432
_HTTP, _HTTPS = 80, 443
DEREGISTRATION_SECONDS = 60
"""How long open requests to an API host that goes may last; one that waits for a job does so for a minute at most."""
HEALTH_PATH = "/health"
"""Whether the process is well, and not whether jobs can be run: a host that is not well is replaced, and no new host
brings back a database that is away."""
_ENDPOINTS = ("autoscaling", "ecr.api", "ecr.dkr", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages")
"""What hosts without a way out call, beside S3."""


@dataclass(frozen=True)
class Foundation:
    """What was declared."""

    network: Network
    api_firewall: HostFirewall
    worker_firewall: HostFirewall
    database: ManagedDatabase
    balancer: LoadBalancer
    api_key: ApiKey
    ways: list[pulumi.Resource]
    """Rules that must be there before a host starts, and while one runs."""


def stand_on_aws(fleet: str, settings: Settings, on_aws: pulumi.ResourceOptions) -> Foundation:
    """Network, then who may speak to whom, then the database and the load balancer."""
    network = _network(fleet, settings, on_aws)
    api, workers = (_firewall(fleet, settings, network, purpose, on_aws) for purpose in ("api", "workers"))
    database = _database(fleet, settings, network, [api, workers], on_aws)
    balancer = _balancer(fleet, settings, network, api, on_aws)
    return Foundation(
        network=network,
        api_firewall=api,
        worker_firewall=workers,
        database=database,
        balancer=balancer,
        # Renaming it, or giving it a parent, makes a new key and revokes the old one; vm has the same.
        api_key=make_api_key(fleet, BOOTSTRAP_TENANT, None),
        ways=[each.reach("database", DATABASE_PORT, database.security_group_id) for each in (api, workers)],
    )


def _network(fleet: str, settings: Settings, on_aws: pulumi.ResourceOptions) -> Network:
    given = settings.aws
    rings = ("sqs",) if settings.doorbell.kind == "sqs" else ()
    return Network(
        fleet,
        {
            "fleet": fleet,
            "region": given.region,
            "zones": given.zones,
            "cidr": given.cidr,
            "nat": given.nat,
            "public_subnets": not settings.entrance.internal,
            # With a NAT they would be paid for twice.
            "interface_endpoints": sorted((*_ENDPOINTS, *rings)) if given.nat == "none" else (),
            "log_retention_days": given.log_retention_days,
        },
        opts=on_aws,
    )


def _firewall(
    fleet: str, settings: Settings, network: Network, purpose: str, on_aws: pulumi.ResourceOptions
) -> HostFirewall:
    return HostFirewall(
        f"{fleet}-{purpose}",
        {
            "fleet": fleet,
            "vpc_id": network.vpc_id,
            "purpose": purpose,
            "internet": settings.aws.nat != "none",
            "endpoint_security_group_id": network.endpoint_security_group_id,
            "s3_prefix_list_id": network.s3_prefix_list_id,
            "other_ports": _other_ports(settings, jobs_run=purpose == "workers"),
        },
        opts=on_aws,
    )


def _other_ports(settings: Settings, *, jobs_run: bool) -> list[int]:
    found = {_HTTP} if jobs_run and settings.sandbox.egress.domains else set[int]()
    if settings.telemetry.otlp_endpoint is not None:
        found.add(settings.telemetry.collector_port)
    return sorted(found - {_HTTPS})


def _database(
    fleet: str, settings: Settings, network: Network, clients: list[HostFirewall], on_aws: pulumi.ResourceOptions
) -> ManagedDatabase:
    given = settings.aws.database
    return ManagedDatabase(
        fleet,
        {
            "fleet": fleet,
            "vpc_id": network.vpc_id,
            "subnet_ids": network.private_subnet_ids,
            "client_security_group_ids": [each.security_group_id for each in clients],
            "engine_version": given.engine_version,
            "instance_class": given.instance_class,
            "storage_gibibytes": given.storage_gibibytes,
            "multi_az": given.multi_zone,
            "deletion_protection": settings.aws.deletion_protection,
            "backup_retention_days": given.backup_retention_days,
            "log_retention_days": settings.aws.log_retention_days,
        },
        opts=on_aws,
    )


def _balancer(
    fleet: str, settings: Settings, network: Network, api: HostFirewall, on_aws: pulumi.ResourceOptions
) -> LoadBalancer:
    entrance = settings.entrance
    args: LoadBalancerArgs = {
        "fleet": fleet,
        "vpc_id": network.vpc_id,
        "subnet_ids": network.private_subnet_ids if entrance.internal else network.public_subnet_ids,
        "internal": entrance.internal,
        # Settings let no stack without one come here.
        "certificate_arn": entrance.certificate_arn or "",
        "host": entrance.host,
        "client_cidrs": entrance.client_cidrs,
        "target_security_group_id": api.security_group_id,
        "target_port": API_PORT,
        "ready_path": HEALTH_PATH,
        "deregistration_seconds": DEREGISTRATION_SECONDS,
        "deletion_protection": settings.aws.deletion_protection,
    }
    return LoadBalancer(fleet, args, opts=on_aws)
