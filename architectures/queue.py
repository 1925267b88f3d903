"""`queue`: hosts for the API, a queue, and hosts for workers that follow the jobs: for loads that come and go (D2)."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from agent_fleet.aws.worker_group import group_names

from architectures.queue_doorbell import declare_doorbell
from architectures.queue_foundation import stand_on_aws
from architectures.queue_hosts import api_hosts, worker_hosts
from architectures.queue_images import declare_registry, queue_images
from settings.model import Settings


@dataclass(frozen=True)
class Deployment:
    """What the stack's outputs are."""

    outputs: dict[str, object]


def deploy(fleet: str, settings: Settings) -> Deployment:
    """Registry, network, database and doorbell; then the API, which makes the tables; then the workers."""
    account = aws.Provider("aws", region=settings.aws.region)
    on_aws = pulumi.ResourceOptions(providers=[account])
    registry = declare_registry(fleet, settings, on_aws)
    outputs: dict[str, object] = {} if registry is None else {"registry_urls": registry.urls}
    if settings.queue.registry is not None and settings.queue.registry.only:
        return Deployment(outputs)
    images = queue_images(fleet, settings, registry)
    foundation = stand_on_aws(fleet, settings, on_aws)
    doorbell = declare_doorbell(fleet, settings, foundation, on_aws)
    api = api_hosts(fleet, settings, foundation, images, doorbell, on_aws)
    workers = worker_hosts(fleet, settings, foundation, images, doorbell, api, on_aws)
    return Deployment(
        {
            **outputs,
            **doorbell.outputs,
            "url": foundation.balancer.url,
            "api_key": foundation.api_key.key,
            "load_balancer": foundation.balancer.dns_name,
            "api_group": api.group_name,
            **group_names(workers),
        }
    )
