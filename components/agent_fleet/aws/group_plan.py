"""What the hosts of a group are told: their user data, and what they fetch at boot. All hosts of a group are alike."""

from collections.abc import Sequence
from typing import Any

import pulumi

from agent_fleet.systemd.cloud_init import encoded, render
from agent_fleet.systemd.fleet_host import HostWorkload, plan_host, secret_text
from agent_fleet.systemd.host_plan import HostSecret
from agent_fleet.systemd.resolved_workload import resolved_workload, without_secrets


def group_secret_text(workloads: Sequence[HostWorkload]) -> pulumi.Output[str]:
    """The secret variables of the workloads: a secret."""
    resolved = [resolved_workload(each.workload) for each in workloads]
    return pulumi.Output.secret(pulumi.Output.all(*resolved).apply(secret_text))


def group_user_data(
    fleet: str,
    region: str,
    workloads: Sequence[HostWorkload],
    *,
    sandbox_images: Sequence[pulumi.Input[str]],
    secret_arn: pulumi.Input[str],
    secret_version: pulumi.Input[str],
    log_group: pulumi.Input[str],
) -> pulumi.Output[str]:
    """The user data in base64. No secret is in it: what it is made of has none."""
    found = pulumi.Output.all(
        workloads=[without_secrets(each.workload) for each in workloads],
        sandbox_images=list(sandbox_images),
        arn=secret_arn,
        version=secret_version,
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
            log_group=values["log_group"],
        )
        return encoded(render(plan))

    return found.apply(written)
