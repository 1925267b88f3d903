"""Redis as a container on one Docker host: the doorbell, where it is not PostgreSQL's."""

from typing import TypedDict

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from agent_fleet.docker.container import container_args, container_options
from agent_fleet.redis_workload import REDIS_MEMORY_MEBIBYTES, redis_url, redis_workload
from agent_fleet.workload import Resources


class RedisArgs(TypedDict):
    """What Redis is given."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the labels."""
    image: pulumi.Input[str]
    """The Redis image, by its content."""
    network: pulumi.Input[str]
    """The internal network that it is reached on. It publishes no port."""


class Redis(pulumi.ComponentResource):
    """Redis without anything kept, and with a password that only the state knows."""

    url: pulumi.Output[str]
    """The connection URL of the doorbell's user. A secret."""

    def __init__(self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the password and the container; see `RedisArgs`."""
        super().__init__("agent-fleet:index:Redis", name, {}, opts)
        password = random.RandomPassword(
            f"{name}-password", length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        workload = redis_workload(
            name,
            image=args["image"],
            resources=Resources(memory_mebibytes=REDIS_MEMORY_MEBIBYTES, cpus=1),
            password=password.result,
            networks=(args["network"],),
        )
        docker.Container(name, container_args(workload, args["fleet"]), opts=container_options(self))
        # The container's name as given, not its output: else a new container would replace all that connect to it.
        self.url = redis_url(password.result, name)
        self.register_outputs({"url": self.url})
