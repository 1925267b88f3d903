"""`DataDisk`: a disk that outlives the instances it is attached to, and the snapshots of it."""

from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import managed_policy, service_trust
from agent_fleet.aws.resource_tags import tags

SNAPSHOT_TAG = "agent-fleet.snapshots"
"""By this tag the snapshots' policy finds its disk."""
_FIRST_SNAPSHOT = "03:00"


class DataDiskArgs(TypedDict):
    """Where the disk is, how large, and how often it is copied."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    zone: pulumi.Input[str]
    """Its availability zone, which must be that of the instance's subnet. Moving there takes a snapshot."""
    gibibytes: pulumi.Input[int]
    """Its size. It can only grow."""
    snapshot_interval_hours: pulumi.Input[int]
    """How often it is copied: 1, 2, 3, 4, 6, 8, 12 or 24."""
    snapshots_kept: pulumi.Input[int]
    """How many copies are kept."""
    deletion_protection: bool
    """Whether it cannot be deleted; if not, it goes without a last copy. Plain."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class DataDisk(pulumi.ComponentResource):
    """An encrypted EBS volume, copied regularly. PostgreSQL recovers from such a copy as from a power failure."""

    volume_id: pulumi.Output[str]
    """The volume."""

    def __init__(self, name: str, args: DataDiskArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare both; see `DataDiskArgs`."""
        super().__init__("agent-fleet:index:DataDisk", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "data", args.get("owner"), name=name)
        protected = args["deletion_protection"]
        # Renaming this resource replaces the disk, and so takes the fleet's jobs and results away from it.
        volume = aws.ebs.Volume(
            f"{name}-data",
            availability_zone=args["zone"],
            size=args["gibibytes"],
            type="gp3",
            encrypted=True,
            final_snapshot=protected,
            tags={**own_tags, "Name": f"{name}-data", SNAPSHOT_TAG: name},
            opts=pulumi.ResourceOptions(parent=self, protect=protected),
        )
        role = aws.iam.Role(
            f"{name}-snapshots", assume_role_policy=service_trust("dlm.amazonaws.com"), tags=own_tags, opts=options
        )
        attachment = aws.iam.RolePolicyAttachment(
            f"{name}-snapshots",
            role=role.name,
            policy_arn=managed_policy(role.arn, "service-role/AWSDataLifecycleManagerServiceRole"),
            opts=options,
        )
        aws.dlm.LifecyclePolicy(
            f"{name}-data",
            description=f"Snapshots of {name}",
            execution_role_arn=role.arn,
            state="ENABLED",
            policy_details=aws.dlm.LifecyclePolicyPolicyDetailsArgs(
                resource_types=["VOLUME"],
                target_tags={SNAPSHOT_TAG: name},
                schedules=[
                    aws.dlm.LifecyclePolicyPolicyDetailsScheduleArgs(
                        name="regular",
                        create_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleCreateRuleArgs(
                            interval=args["snapshot_interval_hours"], interval_unit="HOURS", times=_FIRST_SNAPSHOT
                        ),
                        retain_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleRetainRuleArgs(
                            count=args["snapshots_kept"]
                        ),
                        copy_tags=True,
                    )
                ],
            ),
            tags=own_tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attachment]),
        )
        self.volume_id = volume.id
        self.register_outputs({"volume_id": self.volume_id})
