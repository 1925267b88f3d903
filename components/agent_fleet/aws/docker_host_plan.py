"""What a `DockerHost`'s instance is told: its user data, and the secret that it fetches at boot."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from agent_fleet.systemd.cloud_init import encoded, render
from agent_fleet.systemd.fleet_host import HostWorkload, plan_host, secret_text
from agent_fleet.systemd.host_plan import DataVolume, HostSecret
from agent_fleet.systemd.resolved_workload import resolved_workload, without_secrets

RECOVERY_DAYS = 7
"""How long a deleted secret can be had back."""
DATA_FOLDER = "/var/lib/agent-fleet"
"""Where the data disk is mounted."""
_DEVICE = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
"""Before a volume's id without its hyphen, on every instance type that has its disks as NVMe, which all but the oldest
do: https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html"""


def declare_secret(
    name: str,
    workloads: Sequence[HostWorkload],
    *,
    deletion_protection: bool,
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> tuple[aws.secretsmanager.Secret, aws.secretsmanager.SecretVersion]:
    """Declare the secret with every workload's secret variables, and its one version."""
    secret = aws.secretsmanager.Secret(
        name,
        description="Secret variables of the programs on the host",
        recovery_window_in_days=RECOVERY_DAYS if deletion_protection else 0,
        tags=own_tags,
        opts=options,
    )
    text = pulumi.Output.all(*[resolved_workload(each.workload) for each in workloads]).apply(secret_text)
    version = aws.secretsmanager.SecretVersion(
        name, secret_id=secret.id, secret_string=pulumi.Output.secret(text), opts=options
    )
    return secret, version


def user_data(
    fleet: str,
    region: str,
    workloads: Sequence[HostWorkload],
    *,
    sandbox_images: Sequence[pulumi.Input[str]],
    secret_arn: pulumi.Input[str],
    secret_version: pulumi.Input[str],
    data_volume_id: pulumi.Input[str],
    data_folders: Sequence[tuple[str, str]],
    log_group: pulumi.Input[str],
) -> pulumi.Output[str]:
    """The instance's user data in base64. No secret is in it, which its type says too: it is an output like others."""
    found = pulumi.Output.all(
        workloads=[without_secrets(each.workload) for each in workloads],
        sandbox_images=list(sandbox_images),
        arn=secret_arn,
        version=secret_version,
        volume=data_volume_id,
        log_group=log_group,
    )

    def written(values: dict[str, Any]) -> str:
        placed = [
            HostWorkload(workload=workload, after=each.after)
            for workload, each in zip(values["workloads"], workloads, strict=True)
        ]
        plan = plan_host(
            placed,
            fleet=fleet,
            region=region,
            sandbox_images=values["sandbox_images"],
            secret=HostSecret(arn=values["arn"], version=values["version"]),
            data_volume=DataVolume(
                device=f"{_DEVICE}{values['volume'].replace('-', '')}", path=DATA_FOLDER, folders=tuple(data_folders)
            ),
            log_group=values["log_group"],
        )
        return encoded(render(plan))

    return found.apply(written)
