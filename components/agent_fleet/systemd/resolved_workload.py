"""A `Workload` whose values may be outputs, as an output of one whose values are plain."""

from dataclasses import replace
from typing import Any, cast

import pulumi

from agent_fleet.workload import Mount, VolumeMount, Workload


def resolved_workload(workload: Workload) -> pulumi.Output[Workload]:
    """The workload once all its values are known. It is a secret where one of its secret variables is."""
    volumes = [mount.volume for mount in workload.mounts if isinstance(mount, VolumeMount)]
    found: pulumi.Output[dict[str, Any]] = pulumi.Output.all(
        image=workload.image,
        memory=workload.resources.memory_mebibytes,
        environment=dict(workload.environment),
        secrets=dict(workload.secret_environment),
        networks=list(workload.networks),
        volumes=volumes,
    )

    def filled(values: dict[str, Any]) -> Workload:
        named = iter(cast("list[str]", values["volumes"]))
        mounts: list[Mount] = [
            replace(mount, volume=next(named)) if isinstance(mount, VolumeMount) else mount for mount in workload.mounts
        ]
        return replace(
            workload,
            image=values["image"],
            resources=replace(workload.resources, memory_mebibytes=int(values["memory"])),
            environment=values["environment"],
            secret_environment=values["secrets"],
            networks=tuple(values["networks"]),
            mounts=tuple(mounts),
        )

    return found.apply(filled)


def without_secrets(workload: Workload) -> pulumi.Output[Workload]:
    """The same, with the names of its secret variables and not their values: for what anybody may read."""
    return resolved_workload(replace(workload, secret_environment=dict.fromkeys(workload.secret_environment, "")))
