"""PostgreSQL as a container on one Docker host: the queue of record."""

from typing import TypedDict

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from agent_fleet.database_workload import database_url, database_workload
from agent_fleet.docker.container import container_args, container_options
from agent_fleet.labels import labels
from agent_fleet.workload import Resources


class DatabaseArgs(TypedDict):
    """What the database is given."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the labels."""
    image: pulumi.Input[str]
    """The PostgreSQL image, by its content."""
    network: pulumi.Input[str]
    """The internal network that it is reached on. It publishes no port."""
    memory_mebibytes: pulumi.Input[int]
    """The most memory that it may use."""


class Database(pulumi.ComponentResource):
    """PostgreSQL with its data on a volume of its own and a password that only the state knows.

    Destroying the stack destroys the data: a fleet on one host leaves nothing behind.
    """

    url: pulumi.Output[str]
    """The connection URL of the fleet's role. A secret."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the password, the volume and the container; see `DatabaseArgs`."""
        super().__init__("agent-fleet:index:Database", name, {}, opts)
        # Renaming this resource makes a new password; the image sets it anew at the next start, so no data is lost.
        password = random.RandomPassword(
            f"{name}-password", length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        # Renaming this resource replaces the volume and so destroys every job and result.
        volume = docker.Volume(
            f"{name}-data",
            name=name,
            labels=[
                docker.VolumeLabelArgs(label=label, value=value)
                for label, value in sorted(labels(args["fleet"], "volume").items())
            ],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        workload = database_workload(
            name,
            image=args["image"],
            resources=Resources(memory_mebibytes=args["memory_mebibytes"], cpus=2),
            password=password.result,
            data_volume=volume.name,
            networks=(args["network"],),
        )
        docker.Container(name, container_args(workload, args["fleet"]), opts=container_options(self))
        # The container's name as given, not its output: else a new container would replace all that connect to it.
        # The container's name as given, not its output: else a new container would replace all that connect to it.
        self.url = database_url(password.result, name)
        self.register_outputs({"url": self.url})
