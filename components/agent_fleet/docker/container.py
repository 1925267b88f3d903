"""The Docker renderer: a `Workload` as the arguments of a `pulumi_docker.Container`."""

import pulumi
import pulumi_docker as docker

from agent_fleet.labels import labels
from agent_fleet.scratch_options import tmpfs_options
from agent_fleet.workload import CredentialsMount, HostPathMount, Probe, ScratchMount, User, VolumeMount, Workload

HEALTH_WAIT_SECONDS = 120
"""How long a container may take to become healthy before the deployment fails."""


def container_args(workload: Workload, fleet: pulumi.Input[str]) -> docker.ContainerArgs:
    """Everything that Docker is told about a workload.

    Docker's limit on processes (PidsLimit) has no input in pulumi_docker 5.2, so the limit is RLIMIT_NPROC. The kernel
    counts it per user of the host, and not at all for uid 0: what bounds a root workload's processes is its memory.
    """
    hardening = workload.hardening
    return docker.ContainerArgs(
        name=workload.name,
        image=workload.image,
        command=list(workload.command) or None,
        user=f"{workload.user.uid}:{workload.user.gid}",
        group_adds=[str(gid) for gid in workload.user.supplementary_gids] or None,
        envs=_environment(workload),
        labels=[
            docker.ContainerLabelArgs(label=label, value=value)
            for label, value in sorted(labels(fleet, workload.role).items())
        ],
        network_mode=None if workload.networks else "none",
        networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network) for network in workload.networks] or None,
        ports=_published_ports(workload) or None,
        volumes=_volumes(workload) or None,
        tmpfs={mount.path: tmpfs_options(mount) for mount in workload.mounts if isinstance(mount, ScratchMount)},
        read_only=hardening.read_only_root,
        capabilities=docker.ContainerCapabilitiesArgs(drops=list(hardening.dropped_capabilities)),
        security_opts=None if hardening.privilege_escalation_allowed else ["no-new-privileges:true"],
        memory=workload.resources.memory_mebibytes,
        memory_swap=workload.resources.memory_mebibytes,
        cpus=f"{workload.resources.cpus:g}",
        ulimits=_ulimits(workload),
        log_driver="json-file",
        log_opts={
            "max-size": f"{workload.log_rotation.maximum_megabytes}m",
            "max-file": str(workload.log_rotation.files),
        },
        restart="unless-stopped",
        healthcheck=_health_check(workload.probe),
        wait=True,
        wait_timeout=HEALTH_WAIT_SECONDS,
        stop_timeout=workload.stop_grace_seconds,
        destroy_grace_seconds=workload.stop_grace_seconds,
    )


def container_options(
    parent: pulumi.Resource, depends_on: list[pulumi.Resource] | None = None
) -> pulumi.ResourceOptions:
    """The options of every container: its name is fixed, so the old one must be gone before the new one can be made."""
    return pulumi.ResourceOptions(parent=parent, depends_on=depends_on, delete_before_replace=True)


def _environment(workload: Workload) -> list[pulumi.Input[str]]:
    plain = [pulumi.Output.concat(name, "=", value) for name, value in sorted(workload.environment.items())]
    secret = [
        pulumi.Output.secret(pulumi.Output.concat(name, "=", value))
        for name, value in sorted(workload.secret_environment.items())
    ]
    return [*plain, *secret]


def _published_ports(workload: Workload) -> list[docker.ContainerPortArgs]:
    return [
        docker.ContainerPortArgs(
            internal=port.number, external=port.published.port, ip=port.published.address, protocol="tcp"
        )
        for port in workload.ports
        if port.published is not None
    ]


def _volumes(workload: Workload) -> list[docker.ContainerVolumeArgs]:
    volumes: list[docker.ContainerVolumeArgs] = []
    for mount in workload.mounts:
        if isinstance(mount, VolumeMount):
            volumes.append(
                docker.ContainerVolumeArgs(
                    volume_name=mount.volume, container_path=mount.path, read_only=mount.read_only
                )
            )
        elif isinstance(mount, HostPathMount):
            volumes.append(
                docker.ContainerVolumeArgs(
                    host_path=mount.host_path, container_path=mount.path, read_only=mount.read_only
                )
            )
        elif isinstance(mount, CredentialsMount):
            raise ValueError(
                f"{workload.name} mounts credentials at {mount.path}, and a Docker host has none to give: "
                "leave the mount out, or run the workload in a cluster"
            )
    return volumes


def _ulimits(workload: Workload) -> list[docker.ContainerUlimitArgs] | None:
    if _exempt_from_nproc(workload.user):
        return None
    limit = workload.resources.processes
    return [docker.ContainerUlimitArgs(name="nproc", soft=limit, hard=limit)]


def _exempt_from_nproc(user: User) -> bool:
    # The kernel never applies RLIMIT_NPROC to the host's uid 0: setting it would only pretend.
    return user.is_root


def _health_check(probe: Probe) -> docker.ContainerHealthcheckArgs:
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *probe.command],
        interval=f"{probe.interval_seconds}s",
        timeout=f"{probe.timeout_seconds}s",
        retries=probe.retries,
        start_period=f"{probe.start_period_seconds}s",
    )
