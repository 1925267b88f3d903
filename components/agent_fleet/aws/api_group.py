"""`ApiGroup`: hosts of the API behind a load balancer. They have no Docker socket to give, and run no job."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.host_group import METRICS, after, group_tags, refresh
from agent_fleet.aws.host_template import declare_host_template
from agent_fleet.aws.resource_tags import tags
from agent_fleet.aws.worker_group_args import HostArgs

GRACE_SECONDS = 600
"""How long a new host may take until it answers."""


class ApiGroupArgs(TypedDict):
    """Which hosts, how many, and what sends requests to them."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets; hosts are spread over their zones."""
    host: HostArgs
    """What each host is."""
    user_data: pulumi.Input[str]
    """What cloud-init does when a host starts, in base64. It holds no secret."""
    instance_type: pulumi.Input[str]
    """Their type."""
    minimum: int
    """Hosts at the least. Plain."""
    maximum: int
    """Hosts at the most. Plain."""
    cpu_percent: pulumi.Input[int]
    """Average processor use that the group is kept at."""
    target_group_arn: pulumi.Input[str]
    """Where the load balancer finds them. A host that does not answer there is replaced."""
    warm_up_seconds: pulumi.Input[int]
    """How long a host takes from its start until it answers."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class ApiGroup(pulumi.ComponentResource):
    """Hosts of the API: as many as their processors ask for, and new ones where they do not answer.

    They need no hook to drain: the load balancer sends them nothing more, and waits for open requests, before they end.
    What `opts.depends_on` names is there before the first host starts, and is removed after the last.
    """

    group_name: pulumi.Output[str]
    """The group's name."""

    def __init__(self, name: str, args: ApiGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the group; see `ApiGroupArgs`."""
        super().__init__("agent-fleet:index:ApiGroup", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "api", args.get("owner"))
        template = declare_host_template(
            name, args["host"], args["user_data"], args["instance_type"], own_tags, options
        )
        # Renaming it replaces it.
        group = aws.autoscaling.Group(
            name,
            name=name,
            min_size=args["minimum"],
            max_size=args["maximum"],
            vpc_zone_identifiers=args["subnet_ids"],
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            target_group_arns=[args["target_group_arn"]],
            health_check_type="ELB",
            # Docker, images and the database's tables come first, and a host that is replaced before has to begin anew.
            health_check_grace_period=GRACE_SECONDS,
            default_instance_warmup=args["warm_up_seconds"],
            enabled_metrics=METRICS,
            instance_refresh=refresh(args["host"], args["warm_up_seconds"]),
            termination_policies=["OldestLaunchTemplate", "OldestInstance"],
            # An update is done when the API answers.
            min_elb_capacity=args["minimum"],
            wait_for_capacity_timeout="15m",
            tags=group_tags(name, own_tags),
            opts=after(opts, pulumi.ResourceOptions(parent=self, ignore_changes=["desiredCapacity"])),
        )
        if args["minimum"] < args["maximum"]:
            aws.autoscaling.Policy(
                name,
                autoscaling_group_name=group.name,
                policy_type="TargetTrackingScaling",
                estimated_instance_warmup=args["warm_up_seconds"],
                target_tracking_configuration=aws.autoscaling.PolicyTargetTrackingConfigurationArgs(
                    target_value=pulumi.Output.from_input(args["cpu_percent"]).apply(float),
                    predefined_metric_specification=aws.autoscaling.PolicyTargetTrackingConfigurationPredefinedMetricSpecificationArgs(
                        predefined_metric_type="ASGAverageCPUUtilization"
                    ),
                ),
                opts=options,
            )
        self.group_name = group.name
        self.register_outputs({"group_name": self.group_name})
