"""The Compose renderer: a `Workload` as a service of compose.yaml.

Valid for Docker Compose 2 and for docker-compose 1.29, so what only one of them knows is not used.
"""

from collections.abc import Mapping
from typing import Any

from agent_fleet.labels import labels
from agent_fleet.workload import CredentialsMount, HostPathMount, Mount, Probe, ScratchMount, VolumeMount, Workload

from engine.composition.variables import published

SECRETS_DIRECTORY = "/run/secrets"
_FILE_VARIABLES = frozenset({"POSTGRES_PASSWORD", "REDIS_PASSWORD"})
"""Variables whose images want the path of the file in `<NAME>_FILE`; the runtime looks into the directory itself."""


def service(workload: Workload, fleet: str) -> dict[str, Any]:
    """One service. Its secrets are files, by the lower-case names of their variables; their values are not looked at.

    Unlike the Docker provider, Compose has an input for Docker's own limit on processes, so that is what bounds them.
    """
    hardening, resources, user = workload.hardening, workload.resources, workload.user
    memory = f"{resources.memory_mebibytes}m"
    described: dict[str, Any] = {
        "image": workload.image,
        "user": f"{user.uid}:{user.gid}",
        "read_only": hardening.read_only_root,
        "cap_drop": list(hardening.dropped_capabilities),
        "mem_limit": memory,
        "memswap_limit": memory,
        "cpus": resources.cpus,
        "pids_limit": resources.processes,
        "restart": "unless-stopped",
        "stop_grace_period": f"{workload.stop_grace_seconds}s",
        "healthcheck": _health_check(workload.probe),
        "labels": {name: str(value) for name, value in sorted(labels(fleet, workload.role).items())},
        "logging": {
            "driver": "json-file",
            "options": {
                "max-size": f"{workload.log_rotation.maximum_megabytes}m",
                "max-file": str(workload.log_rotation.files),
            },
        },
    }
    if workload.command:
        described["command"] = list(workload.command)
    if user.supplementary_gids:
        described["group_add"] = [str(gid) for gid in user.supplementary_gids]
    if not hardening.privilege_escalation_allowed:
        described["security_opt"] = ["no-new-privileges:true"]
    if environment := _environment(workload):
        described["environment"] = environment
    if workload.secret_environment:
        described["secrets"] = sorted(name.lower() for name in workload.secret_environment)
    if ports := [
        f"{port.published.address}:{published(int(str(port.published.port)))}:{port.number}"
        for port in workload.ports
        if port.published
    ]:
        described["ports"] = ports
    if volumes := [text for mount in workload.mounts if (text := _volume(workload.name, mount))]:
        described["volumes"] = volumes
    if scratch := [_scratch(mount) for mount in workload.mounts if isinstance(mount, ScratchMount)]:
        described["tmpfs"] = scratch
    if workload.networks:
        described["networks"] = [str(network) for network in workload.networks]
    else:
        described["network_mode"] = "none"
    return described


def _environment(workload: Workload) -> Mapping[str, str]:
    plain = {name: str(value) for name, value in workload.environment.items()}
    files = {
        f"{name}_FILE": f"{SECRETS_DIRECTORY}/{name.lower()}"
        for name in workload.secret_environment
        if name in _FILE_VARIABLES
    }
    return dict(sorted((plain | files).items()))


def _volume(name: str, mount: Mount) -> str:
    if isinstance(mount, CredentialsMount):
        raise ValueError(
            f"{name} mounts credentials at {mount.path}, and a Docker host has none to give: leave the mount out, or "
            "run the workload in a cluster"
        )
    if isinstance(mount, ScratchMount):
        return ""
    source = mount.volume if isinstance(mount, VolumeMount) else mount.host_path
    kept: VolumeMount | HostPathMount = mount
    return f"{source}:{kept.path}{':ro' if kept.read_only else ''}"


def _scratch(mount: ScratchMount) -> str:
    options = f"rw,noexec,nosuid,nodev,size={mount.size_mebibytes}m"
    if mount.owner is None:
        return f"{mount.path}:{options},mode=1777"
    return f"{mount.path}:{options},mode=0750,uid={mount.owner.uid},gid={mount.owner.gid}"


def _health_check(probe: Probe) -> Mapping[str, Any]:
    return {
        "test": ["CMD", *probe.command],
        "interval": f"{probe.interval_seconds}s",
        "timeout": f"{probe.timeout_seconds}s",
        "retries": probe.retries,
        "start_period": f"{probe.start_period_seconds}s",
    }
