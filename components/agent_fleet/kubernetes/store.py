"""A store of the fleet within a cluster (database, Redis): one pod behind an address, and who may connect."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import metadata, object_labels, selector_labels
from agent_fleet.kubernetes.ordering import once_there
from agent_fleet.kubernetes.pod import PodSettings, pod_template, secret_data
from agent_fleet.kubernetes.role_service import role_service
from agent_fleet.kubernetes.rollout import CONFIGURATION_HASH, configuration_hash
from agent_fleet.kubernetes.traffic import ingress_from_namespaces
from agent_fleet.workload import Workload


@dataclass(frozen=True)
class StoreVolume:
    """The volume that a store's data is on."""

    claim: k8s.core.v1.PersistentVolumeClaimSpecArgs
    name: str
    """What the workload calls it."""
    deleted_with_store: bool


@dataclass(frozen=True)
class Store:
    """What differs between the stores."""

    role: str
    """Also the name of its objects, and its host's within the namespace."""
    fleet: str
    namespace: pulumi.Input[str]
    workload: Workload
    port: int
    port_name: str
    protocol: str
    """What is spoken at the port, for meshes."""
    client_namespaces: Sequence[str]
    ambient_mesh_enabled: bool
    image_pull_policy: str
    volume: StoreVolume | None = None
    """None for a store whose content may be lost with its pod."""


def declare_store(name: str, store: Store, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Declare a StatefulSet of one pod with its account, secret, addresses and network policy.

    Returns the host's name within the cluster, once the store answers there.
    """
    labels, selected = object_labels(store.fleet, store.role), selector_labels(store.fleet, store.role)
    described = metadata(store.role, store.namespace, labels)
    inside = pulumi.ResourceOptions(parent=parent)
    account = k8s.core.v1.ServiceAccount(name, metadata=described, automount_service_account_token=False, opts=inside)
    secrets = secret_data([store.workload])
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
        metadata=metadata(f"allow-clients-of-{store.role}", store.namespace, labels),
        spec=ingress_from_namespaces(
            list(store.client_namespaces), [store.port], pods=selected, mesh=store.ambient_mesh_enabled
        ),
        opts=inside,
    )
    pods_name = f"{store.role}-pods"
    pods_service, service = (
        role_service(
            own_name,
            own_metadata,
            selected,
            inside,
            port=store.port,
            port_name=store.port_name,
            protocol=store.protocol,
            headless=headless,
        )
        for own_name, own_metadata, headless in (
            (f"{name}-pods", metadata(pods_name, store.namespace, labels), True),
            (name, described, False),
        )
    )
    template = pod_template(
        [store.workload],
        PodSettings(
            labels=labels,
            selector=selected,
            service_account=store.role,
            pull_policy=store.image_pull_policy,
            secrets=store.role,
            claimed_volumes=frozenset({store.volume.name} if store.volume else ()),
            # The images read the password when they start: without a restart a new one would be everybody's but theirs.
            annotations={CONFIGURATION_HASH: configuration_hash(secrets)},
        ),
    )
    # Renaming this resource replaces the StatefulSet; its claim, found again by its name, keeps every job and result.
    stateful_set = k8s.apps.v1.StatefulSet(
        name,
        metadata=described,
        spec=k8s.apps.v1.StatefulSetSpecArgs(
            replicas=1,
            service_name=pods_name,
            revision_history_limit=3,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selected),
            update_strategy=k8s.apps.v1.StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
            persistent_volume_claim_retention_policy=_retention(store.volume) if store.volume else None,
            template=template,
            volume_claim_templates=[_claim(store.volume, labels)] if store.volume else None,
        ),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[account, secret, pods_service]),
    )
    host = pulumi.Output.concat(store.role, ".", store.namespace, ".svc")
    return once_there(host, [stateful_set, service, policy])


def _claim(volume: StoreVolume, labels: dict[str, str]) -> k8s.core.v1.PersistentVolumeClaimArgs:
    return k8s.core.v1.PersistentVolumeClaimArgs(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=k8s.meta.v1.ObjectMetaArgs(name=volume.name, labels=labels),
        spec=volume.claim,
    )


def _retention(volume: StoreVolume) -> k8s.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs:
    return k8s.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
        when_deleted="Delete" if volume.deleted_with_store else "Retain", when_scaled="Retain"
    )
