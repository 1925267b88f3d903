"""PostgreSQL inside the cluster: the queue of record, for clusters that bring none."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class ClusterDatabaseArgs(TypedDict):
    """What the database is given."""

    fleet: str
    """The fleet's name."""
    namespace: pulumi.Input[str]
    """A namespace of purpose `system`."""
    image: pulumi.Input[str]
    """The PostgreSQL image, by digest."""
    memory_mebibytes: NotRequired[pulumi.Input[int]]
    """The most memory that it may use. Default 512."""
    cpus: NotRequired[float]
    """The most CPUs that it may use. Default 1."""
    storage_gibibytes: NotRequired[pulumi.Input[int]]
    """The volume's size. Default 10."""
    storage_class: NotRequired[pulumi.Input[str]]
    """A StorageClass of the cluster, for ReadWriteOnce. Default: the cluster's default class."""
    client_namespaces: Sequence[str]
    """The namespaces whose pods may connect: the system's own, the pools', an autoscaler's."""
    data_deleted_with_database: NotRequired[bool]
    """Whether the volume's claim goes with the StatefulSet: every job and result is lost then. Default: no."""
    image_pull_policy: NotRequired[str]
    """`IfNotPresent` (the default, images being named by digest), `Always`, or `Never` for imported images."""


class ClusterDatabase(pulumi.ComponentResource):
    """PostgreSQL as a StatefulSet with its data on a volume of its own and a password that only the state knows."""

    url: pulumi.Output[str]
    """The connection URL of the fleet's role, once the database answers. A secret."""
    host: pulumi.Output[str]
    """The host's name within the cluster; the port is 5432."""

    def __init__(self, name: str, args: ClusterDatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the database; see `ClusterDatabaseArgs`."""
        super().__init__("agent-fleet:index:ClusterDatabase", name, {}, opts)
        self.host = pulumi.Output.concat("database.", args["namespace"], ".svc")
        self.url = pulumi.Output.secret("")
        self.register_outputs({"url": self.url, "host": self.host})
