"""PostgreSQL inside the cluster: the queue of record, for clusters that bring none."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s
import pulumi_random as random

from agent_fleet.database_workload import POSTGRES_PORT, database_url, database_workload
from agent_fleet.kubernetes.object_labels import metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.pod import PodSettings, gibibytes_quantity, pod_template, secret_data
from agent_fleet.kubernetes.role_service import role_service
from agent_fleet.kubernetes.rollout import CONFIGURATION_HASH, configuration_hash
from agent_fleet.kubernetes.traffic import ingress_from_namespaces
from agent_fleet.workload import Reservation, Resources, Workload

ROLE = "database"
PODS_SERVICE = "database-pods"
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
        namespace, labels = args["namespace"], object_labels(args["fleet"], ROLE)
        selected = selector_labels(args["fleet"], ROLE)
        inside = pulumi.ResourceOptions(parent=self)
        # Renaming this resource makes a new password; the image sets it anew at the next start, so no data is lost.
        password = random.RandomPassword(f"{name}-password", length=32, special=False, opts=inside)
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
        described = metadata(ROLE, namespace, labels)
        account = k8s.core.v1.ServiceAccount(
            name, metadata=described, automount_service_account_token=False, opts=inside
        )
        secret = k8s.core.v1.Secret(name, metadata=described, type="Opaque", data=secret_data([workload]), opts=inside)
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
            metadata=metadata("allow-clients-of-database", namespace, labels),
            spec=ingress_from_namespaces(
                list(args["client_namespaces"]),
                [POSTGRES_PORT],
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
                port=POSTGRES_PORT,
                port_name="postgres",
                protocol="postgres",
                headless=headless,
            )
            for own_name, own_metadata, headless in (
                (f"{name}-pods", metadata(PODS_SERVICE, namespace, labels), True),
                (name, described, False),
            )
        )
        stateful_set = _stateful_set(
            name,
            args,
            workload,
            labels,
            pulumi.ResourceOptions(parent=self, depends_on=[account, secret, pods_service]),
        )
        host = pulumi.Output.concat(ROLE, ".", namespace, ".svc")
        self.host = once_there(host, [stateful_set, service, policy])
        self.url = database_url(password.result, self.host)
        self.register_outputs({"url": self.url, "host": self.host})


def _stateful_set(
    name: str, args: ClusterDatabaseArgs, workload: Workload, labels: dict[str, str], options: pulumi.ResourceOptions
) -> k8s.apps.v1.StatefulSet:
    selected = selector_labels(args["fleet"], ROLE)
    template = pod_template(
        [workload],
        PodSettings(
            labels=labels,
            selector=selected,
            service_account=ROLE,
            pull_policy=args.get("image_pull_policy", "IfNotPresent"),
            secrets=ROLE,
            claimed_volumes=frozenset({DATA_VOLUME}),
            # The image sets the password when it starts: without a restart a new one would be everybody's but its own.
            annotations={CONFIGURATION_HASH: configuration_hash(secret_data([workload]))},
        ),
    )
    claim = k8s.core.v1.PersistentVolumeClaimArgs(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=DATA_VOLUME, labels=labels),
        spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=args.get("storage_class"),
            resources=k8s.core.v1.VolumeResourceRequirementsArgs(
                requests={"storage": gibibytes_quantity(args.get("storage_gibibytes", 10))}
            ),
        ),
    )
    # Renaming this resource replaces the StatefulSet; its claim, found again by its name, keeps every job and result.
    return k8s.apps.v1.StatefulSet(
        name,
        metadata=metadata(ROLE, args["namespace"], labels),
        spec=k8s.apps.v1.StatefulSetSpecArgs(
            replicas=1,
            service_name=PODS_SERVICE,
            revision_history_limit=3,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
            update_strategy=k8s.apps.v1.StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
            persistent_volume_claim_retention_policy=k8s.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
                when_deleted="Delete" if args.get("data_deleted_with_database", False) else "Retain",
                when_scaled="Retain",
            ),
            template=template,
            volume_claim_templates=[claim],
        ),
        opts=options,
    )
