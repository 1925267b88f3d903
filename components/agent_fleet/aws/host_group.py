"""What every group of hosts has in common: metrics, the hook by which a host drains, and how hosts are replaced."""

import math
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.worker_group_args import HostArgs

METRICS = (
    aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY,
    aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES,
    aws.autoscaling.Metric.GROUP_TOTAL_INSTANCES,
)
"""What the groups say of themselves; what they are scaled by needs the second."""
DRAIN_HOOK = "drain"
"""The hook's name, which the host itself completes when it has drained."""
LAUNCH_HOOK = "launch"
"""The hook's name, which the host itself completes when jobs can run on it."""
LAUNCH_SECONDS = 1_200
"""How long a host may take for packages, images and its first sandboxes; one that takes longer is ended."""
HEARTBEAT_SECONDS = 300
"""How long a host that is to end may be silent: one whose worker is gone ends after this time."""
STOPPING_SECONDS = 60
"""From the end of a drain until the host says so."""
_MOST_HEARTBEATS = 100
"""After a hundred heartbeat timeouts a host ends in any case:
https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html"""
MOST_HEALTHY_PERCENT = 120
"""Of the hosts that are wanted, while they are replaced: a fifth of them at once, and one at the least."""


def drain_hook(drain_seconds: int) -> aws.autoscaling.GroupInitialLifecycleHookArgs:
    """Ask a host to drain before it ends, for whatever reason. While it does, it sends heartbeats."""
    return aws.autoscaling.GroupInitialLifecycleHookArgs(
        name=DRAIN_HOOK,
        lifecycle_transition="autoscaling:EC2_INSTANCE_TERMINATING",
        heartbeat_timeout=max(HEARTBEAT_SECONDS, math.ceil((drain_seconds + STOPPING_SECONDS) / _MOST_HEARTBEATS)),
        default_result="CONTINUE",
    )


def launch_hook() -> aws.autoscaling.GroupInitialLifecycleHookArgs:
    """Count a host only once jobs can run on it.

    EC2 calls one well that is switched on: a refresh to images that do not start would end every host that works, and
    a warm pool would stop hosts in the middle of their set-up, which cloud-init does not take up again.
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html
    """
    return aws.autoscaling.GroupInitialLifecycleHookArgs(
        name=LAUNCH_HOOK,
        lifecycle_transition="autoscaling:EC2_INSTANCE_LAUNCHING",
        heartbeat_timeout=LAUNCH_SECONDS,
        default_result="ABANDON",
    )


def refresh(host: HostArgs, warm_up_seconds: pulumi.Input[int]) -> aws.autoscaling.GroupInstanceRefreshArgs:
    """Replace hosts when the launch template changes: new ones first, and no old one goes before they are there.

    It goes back by itself to the old template if the new hosts do not start, where the machine image has a fixed id:
    with the newest of the day, AWS knows none to go back to.
    """
    return aws.autoscaling.GroupInstanceRefreshArgs(
        strategy="Rolling",
        preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
            min_healthy_percentage=100,
            max_healthy_percentage=MOST_HEALTHY_PERCENT,
            instance_warmup=pulumi.Output.from_input(warm_up_seconds).apply(lambda seconds: str(int(seconds))),
            # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RollbackInstanceRefresh.html
            auto_rollback="machine_image" in host,
        ),
    )


def after(given: pulumi.ResourceOptions | None, own: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    """The options of a group that waits for what its component depends on: children do not do so by themselves."""
    if given is None:
        return own
    return pulumi.ResourceOptions.merge(own, pulumi.ResourceOptions(depends_on=given.depends_on))


def group_tags(name: str, own_tags: Mapping[str, pulumi.Input[str]]) -> list[aws.autoscaling.GroupTagArgs]:
    """A group's tags; its hosts have theirs from the launch template."""
    return [
        aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=False)
        for key, value in sorted({**own_tags, "Name": name}.items())
    ]
