"""A pod's volumes: what its workloads mount, in the kinds that Pod Security `restricted` allows."""

from collections.abc import Sequence

import pulumi_kubernetes as k8s

from agent_fleet.workload import CredentialsMount, Mount, ScratchMount, VolumeMount, Workload

CLUSTER_AUTHORITY = "kube-root-ca.crt"
"""Kubernetes itself puts this ConfigMap with the API server's authority into every namespace."""


def container_mounts(workload: Workload) -> list[k8s.core.v1.VolumeMountArgs]:
    """Where a workload's container sees its volumes."""
    return [
        k8s.core.v1.VolumeMountArgs(
            name=_volume_name(workload, mount),
            mount_path=mount.path,
            read_only=True if _read_only(mount) else None,
        )
        for mount in workload.mounts
    ]


def pod_volumes(workloads: Sequence[Workload], claimed: frozenset[str]) -> list[k8s.core.v1.VolumeArgs]:
    """The volumes of a pod with these workloads, but for those that its owner's claim templates bring."""
    return [
        _volume(workload, mount)
        for workload in workloads
        for mount in workload.mounts
        if not (isinstance(mount, VolumeMount) and mount.volume in claimed)
    ]


def _volume_name(workload: Workload, mount: Mount) -> str:
    if isinstance(mount, VolumeMount) and isinstance(mount.volume, str):
        return mount.volume
    return f"{workload.role}{mount.path.replace('/', '-')}"


def _read_only(mount: Mount) -> bool:
    if isinstance(mount, ScratchMount):
        return False
    return True if isinstance(mount, CredentialsMount) else mount.read_only


def _volume(workload: Workload, mount: Mount) -> k8s.core.v1.VolumeArgs:
    name = _volume_name(workload, mount)
    if isinstance(mount, ScratchMount):
        return k8s.core.v1.VolumeArgs(name=name, empty_dir=scratch(mount.size_mebibytes))
    if isinstance(mount, VolumeMount):
        claim = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(
            claim_name=mount.volume, read_only=True if mount.read_only else None
        )
        return k8s.core.v1.VolumeArgs(name=name, persistent_volume_claim=claim)
    if isinstance(mount, CredentialsMount):
        return k8s.core.v1.VolumeArgs(name=name, projected=_credentials(mount))
    raise ValueError(
        f"{workload.name} mounts {mount.host_path} of its host, which Pod Security restricted refuses: "
        "mount a claim, or run the workload on a Docker host"
    )


def scratch(size_mebibytes: int) -> k8s.core.v1.EmptyDirVolumeSourceArgs:
    """A directory in memory, charged to the container that writes to it."""
    return k8s.core.v1.EmptyDirVolumeSourceArgs(medium="Memory", size_limit=f"{size_mebibytes}Mi")


def _credentials(mount: CredentialsMount) -> k8s.core.v1.ProjectedVolumeSourceArgs:
    token = k8s.core.v1.ServiceAccountTokenProjectionArgs(path="token", expiration_seconds=mount.lifetime_seconds)
    authority = k8s.core.v1.ConfigMapProjectionArgs(
        name=CLUSTER_AUTHORITY, items=[k8s.core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")]
    )
    namespace = k8s.core.v1.DownwardAPIVolumeFileArgs(
        path="namespace", field_ref=k8s.core.v1.ObjectFieldSelectorArgs(field_path="metadata.namespace")
    )
    return k8s.core.v1.ProjectedVolumeSourceArgs(
        default_mode=0o440,
        sources=[
            k8s.core.v1.VolumeProjectionArgs(service_account_token=token),
            k8s.core.v1.VolumeProjectionArgs(config_map=authority),
            k8s.core.v1.VolumeProjectionArgs(downward_api=k8s.core.v1.DownwardAPIProjectionArgs(items=[namespace])),
        ],
    )
