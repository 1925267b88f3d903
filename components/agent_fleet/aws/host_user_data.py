"""What hosts are told: their user data, and the secret variables that they fetch at boot."""

from collections.abc import Sequence
from typing import Any

import pulumi

from agent_fleet.systemd.cloud_init import encoded, render
from agent_fleet.systemd.fleet_host import HostWorkload, plan_host, secret_text
from agent_fleet.systemd.host_plan import DataVolume, HostSecret
from agent_fleet.systemd.resolved_workload import resolved_workload, without_secrets

DATA_FOLDER = "/var/lib/agent-fleet"
"""Where a data disk is mounted."""
_DEVICE = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
"""Before a volume's id without its hyphen, on every instance type that has its disks as NVMe, which all but the oldest
do: https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html"""


def host_secret_text(workloads: Sequence[HostWorkload]) -> pulumi.Output[str]:
    """The secret variables of the workloads: a secret."""
    resolved = [resolved_workload(each.workload) for each in workloads]
    return pulumi.Output.secret(pulumi.Output.all(*resolved).apply(secret_text))


def host_user_data(
    fleet: str,
    region: str,
    workloads: Sequence[HostWorkload],
    *,
    sandbox_images: Sequence[pulumi.Input[str]],
    secret_arn: pulumi.Input[str],
    secret_version: pulumi.Input[str],
    log_group: pulumi.Input[str],
    data_volume_id: pulumi.Input[str] = "",
    data_folders: Sequence[tuple[str, str]] = (),
) -> pulumi.Output[str]:
    """The user data in base64. No secret is in it: what it is made of has none.

    `data_folders` are those of the data disk, if there is one, each with its owner as `uid:gid`; workloads name them as
    their volumes, below `DATA_FOLDER`.
    """
    found = pulumi.Output.all(
        workloads=[without_secrets(each.workload) for each in workloads],
        sandbox_images=list(sandbox_images),
        arn=secret_arn,
        version=secret_version,
        log_group=log_group,
        volume=data_volume_id,
    )

    def written(values: dict[str, Any]) -> str:
        placed = [
            HostWorkload(workload=workload, after=each.after)
            for workload, each in zip(values["workloads"], workloads, strict=True)
        ]
        device = f"{_DEVICE}{values['volume'].replace('-', '')}"
        plan = plan_host(
            placed,
            fleet=fleet,
            region=region,
            sandbox_images=values["sandbox_images"],
            secret=HostSecret(arn=values["arn"], version=values["version"]),
            data_volume=DataVolume(device=device, path=DATA_FOLDER, folders=tuple(data_folders))
            if values["volume"]
            else None,
            log_group=values["log_group"],
        )
        return encoded(render(plan))

    return found.apply(written)
