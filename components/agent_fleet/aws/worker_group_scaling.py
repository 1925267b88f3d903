"""How worker hosts follow the jobs: policies over one metric, the fleet's queued and running jobs together.

The queue's own length would not do: a ring is deleted when a worker hears it, and of running jobs it knows nothing, so
that hosts would be taken away under their jobs. https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html
has the way of a metric per host, made here by metric math so that nobody publishes it but the API.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.worker_group_args import BacklogArgs

PERIOD_SECONDS = 60
_GROUPS = "AWS/AutoScaling"
WAKING_STEPS: Sequence[tuple[int, int]] = ((1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (32, 32))
"""From how many missing hosts on how many are started at once, while there is none yet: half of them at the least, so
that the first minute starts no more than are needed."""

_Metric = aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationMetricArgs
_Stat = aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationMetricMetricStatArgs
_Of = aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationMetricMetricStatMetricArgs
_Dimension = (
    aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationMetricMetricStatMetricDimensionArgs
)


@dataclass(frozen=True)
class Measure:
    """One metric that a sum is made of."""

    id: str
    namespace: str
    name: str
    dimensions: dict[str, pulumi.Input[str]]
    stat: str


def measures(
    backlog: BacklogArgs, on_demand: pulumi.Input[str] | None, spot: pulumi.Input[str] | None
) -> list[Measure]:
    """The backlog, and the hosts of the groups that there are, by the groups' names."""
    # Every API host says the same, as the database has it.
    found = [Measure("backlog", backlog["namespace"], backlog["name"], backlog["dimensions"], "Maximum")]
    for own_id, group in (("floor", on_demand), ("hosts", spot)):
        if group is not None:
            dimensions = {"AutoScalingGroupName": group}
            found.append(Measure(own_id, _GROUPS, "GroupInServiceInstances", dimensions, "Average"))
    return found


def floor_load() -> str:
    """The jobs of each host on demand. Their own number is all that counts: what they cannot bear is the others'."""
    return "IF(FILL(floor, 0) > 0, backlog / floor, backlog)"


def excess_load(jobs_per_host: int, *, floor: bool) -> str:
    """The jobs of each spot host: those that the hosts on demand do not bear. Zero while these bear all of them."""
    excess = f"backlog - FILL(floor, 0) * {jobs_per_host}" if floor else "backlog"
    return f"IF({excess} > 0, ({excess}) / IF(FILL(hosts, 0) > 0, hosts, 1), 0)"


def missing_hosts(jobs_per_host: int, *, floor: bool) -> str:
    """The spot hosts that are missing while there is none; 0 as soon as there is one."""
    excess = f"backlog - FILL(floor, 0) * {jobs_per_host}" if floor else "backlog"
    return f"IF(FILL(hosts, 0) < 1 AND {excess} > 0, CEIL(({excess}) / {jobs_per_host}), 0)"


def follow(
    name: str,
    group: pulumi.Input[str],
    found: Sequence[Measure],
    expression: str,
    jobs_per_host: int,
    warm_up_seconds: pulumi.Input[int],
    options: pulumi.ResourceOptions,
) -> aws.autoscaling.Policy:
    """Keep `expression`, the jobs of each host, at `jobs_per_host`: out within three minutes, in after fifteen."""
    return aws.autoscaling.Policy(
        name,
        autoscaling_group_name=group,
        policy_type="TargetTrackingScaling",
        estimated_instance_warmup=warm_up_seconds,
        target_tracking_configuration=aws.autoscaling.PolicyTargetTrackingConfigurationArgs(
            target_value=float(jobs_per_host),
            customized_metric_specification=aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationArgs(
                metrics=[
                    *(
                        _Metric(
                            id=each.id,
                            return_data=False,
                            metric_stat=_Stat(
                                stat=each.stat,
                                metric=_Of(
                                    namespace=each.namespace,
                                    metric_name=each.name,
                                    dimensions=[
                                        _Dimension(name=key, value=value)
                                        for key, value in sorted(each.dimensions.items())
                                    ],
                                ),
                            ),
                        )
                        for each in found
                    ),
                    _Metric(id="load", expression=expression, label="Jobs of each host", return_data=True),
                ]
            ),
        ),
        opts=options,
    )


def wake(
    name: str,
    group: pulumi.Input[str],
    found: Sequence[Measure],
    expression: str,
    warm_up_seconds: pulumi.Input[int],
    own_tags: dict[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> aws.cloudwatch.MetricAlarm:
    """Start the first hosts of a group that has none: what tracks a target multiplies, and nothing times zero helps."""
    policy = aws.autoscaling.Policy(
        f"{name}-wake",
        autoscaling_group_name=group,
        policy_type="StepScaling",
        adjustment_type="ChangeInCapacity",
        metric_aggregation_type="Maximum",
        estimated_instance_warmup=warm_up_seconds,
        step_adjustments=[
            aws.autoscaling.PolicyStepAdjustmentArgs(
                # Bounds are said from the alarm's threshold on, which is 1.
                metric_interval_lower_bound=str(least - 1),
                metric_interval_upper_bound=None if upper is None else str(upper - 1),
                scaling_adjustment=added,
            )
            for (least, added), upper in zip(WAKING_STEPS, [*(each for each, _ in WAKING_STEPS[1:]), None], strict=True)
        ],
        opts=options,
    )
    return aws.cloudwatch.MetricAlarm(
        f"{name}-wake",
        alarm_description="Jobs that no worker host is there for",
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=1,
        evaluation_periods=1,
        # Without the API's word nothing is known, and nothing is started.
        treat_missing_data="notBreaching",
        metric_queries=[
            *(
                aws.cloudwatch.MetricAlarmMetricQueryArgs(
                    id=each.id,
                    return_data=False,
                    metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                        namespace=each.namespace,
                        metric_name=each.name,
                        dimensions=each.dimensions,
                        period=PERIOD_SECONDS,
                        stat=each.stat,
                    ),
                )
                for each in found
            ),
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id="missing", expression=expression, label="Hosts that are missing", return_data=True
            ),
        ],
        alarm_actions=[policy.arn],
        tags=own_tags,
        opts=options,
    )
