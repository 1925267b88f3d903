"""The doorbell on ElastiCache: a Redis that keeps nothing, encrypted, behind TLS and a password."""

import hashlib
from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from agent_fleet.aws.client_group import declare_client_group
from agent_fleet.aws.resource_tags import tags

PORT = 6379
ENGINE_VERSION = "7.1"
_PARAMETERS = "default.redis7"
_LONGEST_NAME = 40
_DIGEST_DIGITS = 8


def _short(name: str) -> str:
    """The name as ElastiCache takes it. Two long ones that only end otherwise stay two."""
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{name[: _LONGEST_NAME - _DIGEST_DIGITS - 1].rstrip('-')}-{digest}"


class CacheClusterArgs(TypedDict):
    """Which Redis, and who may use it."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets, in at least two zones where there are replicas."""
    client_security_group_ids: Sequence[pulumi.Input[str]]
    """Who may connect. The list's length is plain: each gets a rule."""
    node_type: pulumi.Input[str]
    """The type of each node, for example `cache.t4g.small`."""
    replicas: int
    """Nodes in other zones that take over; 0 for none. Plain."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class CacheCluster(pulumi.ComponentResource):
    """One shard of Redis on ElastiCache: encrypted at rest and in transit, with a password, closed but to its clients.

    Rings are published and kept nowhere, so there is nothing to back up.
    """

    url: pulumi.Output[str]
    """`rediss://…`, with the password. A secret."""
    security_group_id: pulumi.Output[str]
    """Its group."""

    def __init__(self, name: str, args: CacheClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare it; see `CacheClusterArgs`."""
        super().__init__("agent-fleet:index:CacheCluster", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "doorbell", args.get("owner"), name=name)
        # Of letters and digits: ElastiCache takes few other signs, and a URL none of those.
        password = random.RandomPassword(f"{name}-password", length=64, special=False, opts=options)
        group = declare_client_group(
            name,
            service="Redis",
            port=PORT,
            vpc_id=args["vpc_id"],
            client_security_group_ids=args["client_security_group_ids"],
            own_tags=own_tags,
            options=options,
        )
        subnets = aws.elasticache.SubnetGroup(
            name, name=name, subnet_ids=args["subnet_ids"], tags=own_tags, opts=options
        )
        replicated = args["replicas"] > 0
        cluster = aws.elasticache.ReplicationGroup(
            name,
            replication_group_id=_short(name),
            description=f"Doorbell of {name}",
            engine="redis",
            engine_version=ENGINE_VERSION,
            parameter_group_name=_PARAMETERS,
            node_type=args["node_type"],
            num_cache_clusters=1 + args["replicas"],
            automatic_failover_enabled=replicated,
            multi_az_enabled=replicated,
            port=PORT,
            subnet_group_name=subnets.name,
            security_group_ids=[group.id],
            at_rest_encryption_enabled=True,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            auth_token=password.result,
            # Programs that have the old one go on until they are replaced.
            auth_token_update_strategy="ROTATE",  # noqa: S106 - no password, but how one takes another's place
            auto_minor_version_upgrade=True,
            maintenance_window="sun:04:30-sun:05:30",
            # Rings that wait in it are worth nothing a minute later.
            snapshot_retention_limit=0,
            apply_immediately=True,
            tags=own_tags,
            opts=options,
        )
        self.security_group_id = group.id
        self.url = pulumi.Output.secret(
            pulumi.Output.format("rediss://:{0}@{1}:{2}", password.result, cluster.primary_endpoint_address, PORT)
        )
        self.register_outputs({"url": self.url, "security_group_id": self.security_group_id})
