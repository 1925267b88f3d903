"""`WorkerGroup`: the hosts that run jobs, some on demand and as many as there are jobs for at spot prices.

Two groups and not one with a mixed policy: a warm pool cannot be had by a group with spot hosts, and what is on demand
is the floor, which no price moves.
"""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.host_group import METRICS, after, drain_hook, group_tags, launch_hook, refresh
from agent_fleet.aws.host_template import declare_host_template
from agent_fleet.aws.resource_tags import tags
from agent_fleet.aws.worker_group_args import OnDemandArgs, SpotArgs, WorkerGroupArgs, group_name
from agent_fleet.aws.worker_group_scaling import excess_load, floor_load, follow, measures, missing_hosts, wake


class WorkerGroup(pulumi.ComponentResource):
    """Worker hosts that follow the jobs, drain before they end, and are replaced when their template changes.

    They count once the worker on them has completed the hook `launch`; one on which nothing ever runs is ended.

    What `opts.depends_on` names is there before the first host starts, and is removed after the last: those that drain
    still use it.
    """

    on_demand_name: pulumi.Output[str] | None
    """The name of the group on demand; None where there is none."""
    spot_name: pulumi.Output[str] | None
    """The name of the spot group; None where there is none."""

    def __init__(self, name: str, args: WorkerGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare both groups and what they follow; see `WorkerGroupArgs`. Raises ValueError for no group at all."""
        on_demand, spot = args.get("on_demand"), args.get("spot")
        if on_demand is None and spot is None:
            raise ValueError("on_demand, spot: neither was given, and nobody would run a job; give one of the two.")
        super().__init__("agent-fleet:index:WorkerGroup", name, {}, opts)
        self._name, self._args, self._given = name, args, opts
        self._options = pulumi.ResourceOptions(parent=self)
        self._tags = tags(args["fleet"], "workers", args.get("owner"))
        self.on_demand_name = None if on_demand is None else self._on_demand(on_demand).name
        self.spot_name = None if spot is None else self._spot(spot).name
        self._follow(on_demand, spot)
        outputs = {"on_demand_name": self.on_demand_name, "spot_name": self.spot_name}
        self.register_outputs({key: value for key, value in outputs.items() if value is not None})

    def _on_demand(self, given: OnDemandArgs) -> aws.autoscaling.Group:
        name = group_name(self._name, "on-demand")
        template = declare_host_template(
            name, self._args["host"], given["user_data"], given["instance_type"], self._tags, self._options
        )
        warm = given.get("warm_hosts", 0)
        return aws.autoscaling.Group(
            name,
            **self._common(name, given["minimum"], given["maximum"]),
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            warm_pool=aws.autoscaling.GroupWarmPoolArgs(
                pool_state="Stopped",
                min_size=warm,
                max_group_prepared_capacity=given["maximum"] + warm,
                # A host that drained is as good as a new one only if nothing of its jobs is left: it is not put back.
                instance_reuse_policy=aws.autoscaling.GroupWarmPoolInstanceReusePolicyArgs(reuse_on_scale_in=False),
            )
            if warm
            else None,
            opts=self._scaled,
        )

    def _spot(self, given: SpotArgs) -> aws.autoscaling.Group:
        name = group_name(self._name, "spot")
        template = declare_host_template(name, self._args["host"], given["user_data"], None, self._tags, self._options)
        specification = aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateLaunchTemplateSpecificationArgs(
            launch_template_id=template.id, version=template.latest_version.apply(str)
        )
        return aws.autoscaling.Group(
            name,
            **self._common(name, given["minimum"], given["maximum"]),
            # A new host is started as soon as AWS says that it may want one back.
            capacity_rebalance=True,
            mixed_instances_policy=aws.autoscaling.GroupMixedInstancesPolicyArgs(
                instances_distribution=aws.autoscaling.GroupMixedInstancesPolicyInstancesDistributionArgs(
                    on_demand_base_capacity=0,
                    on_demand_percentage_above_base_capacity=0,
                    spot_allocation_strategy="price-capacity-optimized",
                ),
                launch_template=aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateArgs(
                    launch_template_specification=specification,
                    overrides=[
                        aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateOverrideArgs(instance_type=each)
                        for each in given["instance_types"]
                    ],
                ),
            ),
            opts=self._scaled,
        )

    def _common(self, name: str, minimum: int, maximum: int) -> dict[str, Any]:
        args = self._args
        return {
            "name": name,
            "min_size": minimum,
            "max_size": maximum,
            "vpc_zone_identifiers": args["subnet_ids"],
            "default_instance_warmup": args["warm_up_seconds"],
            "health_check_type": "EC2",
            "enabled_metrics": METRICS,
            "initial_lifecycle_hooks": [drain_hook(args["drain_seconds"]), launch_hook()],
            "instance_refresh": refresh(args["host"], args["warm_up_seconds"]),
            # Old templates first; then the oldest host, which has had the longest time without updates.
            "termination_policies": ["OldestLaunchTemplate", "OldestInstance"],
            # Spot hosts come when there are some: no update waits for AWS's spare capacity.
            "wait_for_capacity_timeout": "0",
            "tags": group_tags(name, self._tags),
        }

    @property
    def _scaled(self) -> pulumi.ResourceOptions:
        return after(self._given, pulumi.ResourceOptions(parent=self, ignore_changes=["desiredCapacity"]))

    def _follow(self, on_demand: OnDemandArgs | None, spot: SpotArgs | None) -> None:
        backlog, warm_up = self._args["backlog"], self._args["warm_up_seconds"]
        jobs = backlog["jobs_per_host"]
        floor, spare = self.on_demand_name, self.spot_name
        if floor is not None and on_demand is not None and on_demand["minimum"] < on_demand["maximum"]:
            name = group_name(self._name, "on-demand")
            follow(name, floor, measures(backlog, floor, None), floor_load(), jobs, warm_up, self._options)
        if spare is not None and spot is not None:
            name, found, has_floor = group_name(self._name, "spot"), measures(backlog, floor, spare), floor is not None
            excess = excess_load(jobs, floor=has_floor)
            follow(name, spare, found, excess, jobs, warm_up, self._options)
            if spot["minimum"] == 0:
                missing = missing_hosts(jobs, floor=has_floor)
                wake(name, spare, found, missing, warm_up, self._tags, self._options)


def group_names(group: WorkerGroup) -> Mapping[str, pulumi.Output[str]]:
    """The groups' names by what they are, for the stack's outputs."""
    found = {"on_demand_workers": group.on_demand_name, "spot_workers": group.spot_name}
    return {key: value for key, value in found.items() if value is not None}
