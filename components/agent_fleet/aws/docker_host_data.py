"""The disk of a `DockerHost` that outlives its instances, and the snapshots of it."""

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import managed_policy, service_trust

SNAPSHOT_TAG = "agent-fleet.snapshots"
"""By this tag the snapshots' policy finds its disk."""
_FIRST_SNAPSHOT = "03:00"


def declare_data_volume(
    name: str,
    *,
    zone: str,
    gibibytes: pulumi.Input[int],
    deletion_protection: bool,
    own_tags: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
) -> aws.ebs.Volume:
    """Declare the disk. Where it is protected Pulumi refuses to delete it; where not, it goes without a copy."""
    # Renaming this resource replaces the disk, and so takes the fleet's jobs and results away from it.
    return aws.ebs.Volume(
        f"{name}-data",
        availability_zone=zone,
        size=gibibytes,
        type="gp3",
        encrypted=True,
        final_snapshot=deletion_protection,
        tags={**own_tags, "Name": f"{name}-data", SNAPSHOT_TAG: name},
        opts=pulumi.ResourceOptions(parent=parent, protect=deletion_protection),
    )


def declare_snapshots(
    name: str,
    *,
    interval_hours: pulumi.Input[int],
    kept: pulumi.Input[int],
    own_tags: Mapping[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> aws.dlm.LifecyclePolicy:
    """Declare when the disk is copied. PostgreSQL recovers from such a copy as from a power failure."""
    role = aws.iam.Role(
        f"{name}-snapshots", assume_role_policy=service_trust("dlm.amazonaws.com"), tags=own_tags, opts=options
    )
    attachment = aws.iam.RolePolicyAttachment(
        f"{name}-snapshots",
        role=role.name,
        policy_arn=managed_policy(role.arn, "service-role/AWSDataLifecycleManagerServiceRole"),
        opts=options,
    )
    return aws.dlm.LifecyclePolicy(
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
                        interval=interval_hours, interval_unit="HOURS", times=_FIRST_SNAPSHOT
                    ),
                    retain_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleRetainRuleArgs(count=kept),
                    copy_tags=True,
                )
            ],
        ),
        tags=own_tags,
        opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[attachment])),
    )
