"""Redis inside the cluster: the doorbell, for fleets whose doorbell is not PostgreSQL's."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random

from agent_fleet.kubernetes.object_labels import metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.pod import PodSettings, pod_template, secret_data
from agent_fleet.kubernetes.role_service import role_service
from agent_fleet.kubernetes.rollout import CONFIGURATION_HASH, configuration_hash
from agent_fleet.kubernetes.traffic import ingress_from_namespaces
from agent_fleet.redis_workload import REDIS_MEMORY_MEBIBYTES, REDIS_PORT, redis_url, redis_workload
from agent_fleet.workload import Reservation, Resources

ROLE = "redis"
PODS_SERVICE = "redis-pods"
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
        namespace, labels = args["namespace"], object_labels(args["fleet"], ROLE)
        selected = selector_labels(args["fleet"], ROLE)
        described = metadata(ROLE, namespace, labels)
        inside = pulumi.ResourceOptions(parent=self)
        password = random.RandomPassword(f"{name}-password", length=32, special=False, opts=inside)
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
        secrets = secret_data([workload])
        account = k8s.core.v1.ServiceAccount(
            name, metadata=described, automount_service_account_token=False, opts=inside
        )
        secret = k8s.core.v1.Secret(name, metadata=described, type="Opaque", data=secrets, opts=inside)
        k8s.policy.v1.PodDisruptionBudget(
            name,
            metadata=described,
            # There is one: a budget of none would keep its node from ever being emptied.
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=inside,
        )
        policy = k8s.networking.v1.NetworkPolicy(
            name,
            metadata=metadata("allow-clients-of-redis", namespace, labels),
            spec=ingress_from_namespaces(
                list(args["client_namespaces"]),
                [REDIS_PORT],
                pods=selected,
                mesh=args.get("ambient_mesh_enabled", False),
            ),
            opts=inside,
        )
        pods_service, service = (
            role_service(
                own_name,
                own_metadata,
                selected,
                inside,
                port=REDIS_PORT,
                port_name="redis",
                protocol="tcp",
                headless=headless,
            )
            for own_name, own_metadata, headless in (
                (f"{name}-pods", metadata(PODS_SERVICE, namespace, labels), True),
                (name, described, False),
            )
        )
        template = pod_template(
            [workload],
            PodSettings(
                labels=labels,
                selector=selected,
                service_account=ROLE,
                pull_policy=args.get("image_pull_policy", "IfNotPresent"),
                secrets=ROLE,
                # The image reads the password when it starts: a new one must start it anew.
                annotations={CONFIGURATION_HASH: configuration_hash(secrets)},
            ),
        )
        stateful_set = k8s.apps.v1.StatefulSet(
            name,
            metadata=described,
            spec=k8s.apps.v1.StatefulSetSpecArgs(
                replicas=1,
                service_name=PODS_SERVICE,
                revision_history_limit=3,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
                update_strategy=k8s.apps.v1.StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
                template=template,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account, secret, pods_service]),
        )
        host = pulumi.Output.concat(ROLE, ".", namespace, ".svc")
        self.url = redis_url(password.result, once_there(host, [stateful_set, service, policy]))
        self.register_outputs({"url": self.url})
