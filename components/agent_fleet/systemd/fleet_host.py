"""From workloads to a host's plan: a unit for each, and what they need done before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent_fleet.systemd.container_unit import container_unit, environment_file, unit_name
from agent_fleet.systemd.host_plan import (
    DOCKER_PACKAGES,
    METRICS_PACKAGE,
    DataVolume,
    HostFile,
    HostPlan,
    HostSecret,
    HostUnit,
)
from agent_fleet.systemd.host_services import (
    DATA_UNIT,
    IMAGES_UNIT,
    SECRETS_UNIT,
    clean_up_units,
    data_unit,
    images_unit,
    registry_access,
    scripts,
    secrets_unit,
    setup_unit,
    target,
)
from agent_fleet.workload import VolumeMount, Workload

METRICS_NAMESPACE = "agent-fleet"
_AGENT_FOLDER = "/opt/aws/amazon-cloudwatch-agent"
_AGENT_FILE = f"{_AGENT_FOLDER}/etc/agent-fleet.json"
_METRICS_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class HostWorkload:
    """A workload, and which others must be healthy before it starts."""

    workload: Workload
    after: tuple[str, ...] = ()
    """Names of workloads on the same host."""


def plan_host(
    workloads: Sequence[HostWorkload],
    *,
    fleet: str,
    region: str,
    sandbox_images: Sequence[str] = (),
    secret: HostSecret | None = None,
    data_volume: DataVolume | None = None,
    log_group: str | None = None,
    files: Sequence[HostFile] = (),
    units: Sequence[HostUnit] = (),
    packages: Sequence[str] | None = None,
) -> HostPlan:
    """The plan of a host that runs these workloads; their values are plain (`resolved_workload`).

    `sandbox_images` are pulled beside the workloads' own. With a `log_group` logs and the host's own metrics go to
    CloudWatch. `packages` are Amazon Linux 2023's if they are left out. Raises ValueError for workloads with secrets
    and no `secret` to fetch them from, and for what a host cannot give.
    """
    with_secrets = [each.workload.name for each in workloads if each.workload.secret_environment]
    if with_secrets and secret is None:
        raise ValueError(f"{', '.join(with_secrets)}: there are secret variables, and no secret to fetch them from")
    images = dict.fromkeys([*(str(each.workload.image) for each in workloads), *sandbox_images])
    images_service, images_file = images_unit(list(images))
    programs = [
        container_unit(each.workload, fleet=fleet, after=_after(each, data_volume), region=region, log_group=log_group)
        for each in workloads
    ]
    commands: list[tuple[str, ...]] = []
    default_packages = DOCKER_PACKAGES
    if log_group is not None:
        control = f"{_AGENT_FOLDER}/bin/amazon-cloudwatch-agent-ctl"
        commands.append((control, "-a", "fetch-config", "-m", "ec2", "-s", "-c", f"file:{_AGENT_FILE}"))
        default_packages = (*DOCKER_PACKAGES, METRICS_PACKAGE)
    services = [
        setup_unit(default_packages if packages is None else packages, commands),
        *((data_unit(data_volume),) if data_volume is not None else ()),
        *((secrets_unit(region, secret),) if secret is not None else ()),
        images_service,
        *programs,
        *clean_up_units(),
        *units,
    ]
    every = [target([each.name for each in services if each.wanted]), *services]
    told: list[HostFile] = [
        *scripts(),
        images_file,
        registry_access(list(images)),
        *(environment_file(each.workload) for each in workloads),
        *files,
    ]
    if log_group is not None:
        told.append(HostFile(path=_AGENT_FILE, content=_metrics(fleet, data_volume)))
    return HostPlan(
        fleet=fleet,
        region=region,
        units=tuple(every),
        files=tuple(told),
        secret=secret,
        data_volume=data_volume,
        log_group=log_group,
    )


def secret_text(workloads: Sequence[Workload]) -> str:
    """What a `HostSecret` holds for these workloads, their values being plain."""
    found: Mapping[str, Mapping[str, str]] = {
        each.name: {name: str(value) for name, value in each.secret_environment.items()}
        for each in workloads
        if each.secret_environment
    }
    return json.dumps(found, sort_keys=True)


def _after(placed: HostWorkload, volume: DataVolume | None) -> list[str]:
    workload = placed.workload
    kept = volume is not None and any(
        isinstance(mount, VolumeMount) and str(mount.volume).startswith(f"{volume.path}/") for mount in workload.mounts
    )
    return [
        IMAGES_UNIT,
        *((SECRETS_UNIT,) if workload.secret_environment else ()),
        *((DATA_UNIT,) if kept else ()),
        *(unit_name(each) for each in placed.after),
    ]


def _metrics(fleet: str, volume: DataVolume | None) -> str:
    disks = ["/", *((volume.path,) if volume is not None else ())]
    return json.dumps(
        {
            "agent": {"metrics_collection_interval": _METRICS_SECONDS},
            "metrics": {
                "namespace": METRICS_NAMESPACE,
                "append_dimensions": {"InstanceId": "${aws:InstanceId}"},
                "metrics_collected": {
                    "cpu": {"measurement": ["usage_active"], "totalcpu": True, "append_dimensions": {"fleet": fleet}},
                    "mem": {"measurement": ["used_percent"], "append_dimensions": {"fleet": fleet}},
                    "disk": {
                        "measurement": ["used_percent"],
                        "resources": disks,
                        "drop_device": True,
                        "append_dimensions": {"fleet": fleet},
                    },
                },
            },
        },
        indent=2,
        sort_keys=True,
    )
