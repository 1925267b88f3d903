"""Redis inside the cluster: the doorbell, for fleets whose doorbell is not PostgreSQL's."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_random as random

from agent_fleet.kubernetes.store import Store, declare_store
from agent_fleet.redis_workload import REDIS_MEMORY_MEBIBYTES, REDIS_PORT, redis_url, redis_workload
from agent_fleet.workload import Reservation, Resources

ROLE = "redis"
CPUS, RESERVED_CPUS = 0.5, 0.05


class ClusterRedisArgs(TypedDict):
    """What Redis is given."""

    fleet: str
    """The fleet's name."""
    namespace: pulumi.Input[str]
    """A namespace of purpose `system`."""
    image: pulumi.Input[str]
    """The Redis image, by digest."""
    client_namespaces: Sequence[str]
    """The namespaces whose pods may connect: the system's own and the pools'. At least one."""
    ambient_mesh_enabled: NotRequired[bool]
    """Whether it is in Istio's ambient mesh, whose traffic comes on port 15008. Default: no."""
    image_pull_policy: NotRequired[str]
    """`IfNotPresent` (the default, images being named by digest), `Always`, or `Never` for imported images."""


class ClusterRedis(pulumi.ComponentResource):
    """Redis as a StatefulSet of one pod without a volume: rings are kept nowhere, as all they tell of is in the
    database. A pod that dies costs the fleet a poll."""

    url: pulumi.Output[str]
    """The connection URL of the doorbell's user, once Redis answers. A secret."""

    def __init__(self, name: str, args: ClusterRedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare Redis; see `ClusterRedisArgs`."""
        super().__init__("agent-fleet:index:ClusterRedis", name, {}, opts)
        password = random.RandomPassword(
            f"{name}-password", length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        )
        workload = redis_workload(
            name,
            image=args["image"],
            resources=Resources(
                memory_mebibytes=REDIS_MEMORY_MEBIBYTES,
                cpus=CPUS,
                reserved=Reservation(memory_mebibytes=REDIS_MEMORY_MEBIBYTES, cpus=RESERVED_CPUS),
            ),
            password=password.result,
        )
        store = Store(
            role=ROLE,
            fleet=args["fleet"],
            namespace=args["namespace"],
            workload=workload,
            port=REDIS_PORT,
            port_name="redis",
            protocol="tcp",
            client_namespaces=args["client_namespaces"],
            ambient_mesh_enabled=args.get("ambient_mesh_enabled", False),
            image_pull_policy=args.get("image_pull_policy", "IfNotPresent"),
        )
        self.url = redis_url(password.result, declare_store(name, store, self))
        self.register_outputs({"url": self.url})
