"""PostgreSQL inside the cluster: the queue of record, for clusters that bring none."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random

from agent_fleet.database_workload import POSTGRES_PORT, database_url, database_workload
from agent_fleet.kubernetes.pod import gibibytes_quantity
from agent_fleet.kubernetes.store import Store, StoreVolume, declare_store
from agent_fleet.workload import Reservation, Resources

ROLE = "database"
DATA_VOLUME = "data"


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
    """The most CPUs that it may use, of which it is sure to get a quarter. Default 1."""
    storage_gibibytes: NotRequired[pulumi.Input[int]]
    """The volume's size. Default 10."""
    storage_class: NotRequired[pulumi.Input[str]]
    """A StorageClass of the cluster, for ReadWriteOnce. Default: the cluster's default class."""
    client_namespaces: Sequence[str]
    """The namespaces whose pods may connect: the system's own, the pools', an autoscaler's. At least one."""
    data_deleted_with_database: NotRequired[bool]
    """Whether the volume's claim goes with the StatefulSet: every job and result is lost then. Default: no."""
    ambient_mesh_enabled: NotRequired[bool]
    """Whether it is in Istio's ambient mesh, whose traffic comes on port 15008. Default: no."""
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
        # Renaming this resource makes a new password; the image sets it anew at the next start, so no data is lost.
        password = random.RandomPassword(
            f"{name}-password", length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        memory, cpus = args.get("memory_mebibytes", 512), args.get("cpus", 1.0)
        workload = database_workload(
            name,
            image=args["image"],
            resources=Resources(
                memory_mebibytes=memory, cpus=cpus, reserved=Reservation(memory_mebibytes=memory, cpus=cpus / 4)
            ),
            password=password.result,
            data_volume=DATA_VOLUME,
        )
        store = Store(
            role=ROLE,
            fleet=args["fleet"],
            namespace=args["namespace"],
            workload=workload,
            port=POSTGRES_PORT,
            port_name="postgres",
            protocol="postgres",
            client_namespaces=args["client_namespaces"],
            ambient_mesh_enabled=args.get("ambient_mesh_enabled", False),
            image_pull_policy=args.get("image_pull_policy", "IfNotPresent"),
            volume=StoreVolume(
                claim=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                    access_modes=["ReadWriteOnce"],
                    storage_class_name=args.get("storage_class"),
                    resources=k8s.core.v1.VolumeResourceRequirementsArgs(
                        requests={"storage": gibibytes_quantity(args.get("storage_gibibytes", 10))}
                    ),
                ),
                name=DATA_VOLUME,
                deleted_with_store=args.get("data_deleted_with_database", False),
            ),
        )
        self.host = declare_store(name, store, self)
        self.url = database_url(password.result, self.host)
        self.register_outputs({"url": self.url, "host": self.host})
