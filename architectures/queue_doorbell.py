"""The doorbell of `queue`: SQS, a Redis on ElastiCache, or the database's own; and what its hosts may do with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi
from agent_fleet import CacheCluster, DoorbellArgs, JobQueue
from agent_fleet.aws.cache_cluster import PORT as REDIS_PORT
from agent_fleet.aws.policy_documents import Statement

from architectures.eks_rings import RING_SECONDS
from architectures.queue_foundation import Foundation
from settings.aws_model import JobQueue as QueueSettings
from settings.model import Settings
from settings.queue_model import RedisCache


@dataclass(frozen=True)
class Doorbell:
    """What was declared."""

    args: DoorbellArgs | None = None
    """None where it is the database's."""
    api_statements: Sequence[Statement] = ()
    worker_statements: Sequence[Statement] = ()
    ways: Sequence[pulumi.Resource] = ()
    """Rules that must be there before a host starts."""
    outputs: dict[str, object] = field(default_factory=dict[str, object])


def declare_doorbell(
    fleet: str, settings: Settings, foundation: Foundation, on_aws: pulumi.ResourceOptions
) -> Doorbell:
    """Declare the one that the settings name."""
    if settings.doorbell.kind == "sqs":
        return _queue(fleet, settings, on_aws)
    if settings.doorbell.kind == "redis":
        return _redis(fleet, settings.queue.redis or RedisCache(), foundation, on_aws)
    return Doorbell()


def _queue(fleet: str, settings: Settings, on_aws: pulumi.ResourceOptions) -> Doorbell:
    given = settings.aws.job_queue or QueueSettings()
    # Renaming it replaces the queue; what was in it is found in the database.
    queue = JobQueue(
        f"{fleet}-jobs",
        {
            "fleet": fleet,
            "visibility_timeout_seconds": given.visibility_timeout_seconds,
            "maximum_receives": given.maximum_receives,
            "message_retention_seconds": RING_SECONDS,
        },
        opts=on_aws,
    )

    def allowed(*actions: str) -> Statement:
        return {
            "Sid": "UseOwnQueue",
            "Effect": "Allow",
            "Action": [f"sqs:{each}" for each in actions],
            "Resource": queue.arn,
        }

    return Doorbell(
        args={"kind": "sqs", "url": queue.url},
        api_statements=[allowed("SendMessage")],
        # A worker that hands a job back rings for it.
        worker_statements=[allowed("DeleteMessage", "ReceiveMessage", "SendMessage")],
        outputs={"queue_url": queue.url},
    )


def _redis(fleet: str, given: RedisCache, foundation: Foundation, on_aws: pulumi.ResourceOptions) -> Doorbell:
    firewalls = (foundation.api_firewall, foundation.worker_firewall)
    cache = CacheCluster(
        f"{fleet}-doorbell",
        {
            "fleet": fleet,
            "vpc_id": foundation.network.vpc_id,
            "subnet_ids": foundation.network.private_subnet_ids,
            "client_security_group_ids": [each.security_group_id for each in firewalls],
            "node_type": given.node_type,
            "replicas": given.replicas,
        },
        opts=on_aws,
    )
    ways = [each.reach("doorbell", REDIS_PORT, cache.security_group_id) for each in firewalls]
    return Doorbell(args={"kind": "redis", "url": cache.url}, ways=ways)
