"""Flow logs of a VPC: who spoke to whom, kept for as long as the fleet says."""

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import document, service_trust
from agent_fleet.aws.resource_tags import tags


def declare_flow_log(
    name: str,
    vpc_id: pulumi.Output[str],
    fleet: pulumi.Input[str],
    owner: pulumi.Input[str] | None,
    retention_days: pulumi.Input[int],
    options: pulumi.ResourceOptions,
) -> None:
    """Declare the log group, the role that writes into it and nowhere else, and the flow log."""
    own_tags = tags(fleet, "network", owner, name=f"{name}-flow-log")
    group = aws.cloudwatch.LogGroup(
        f"{name}-flow-log",
        name=f"/agent-fleet/{name}/flow-log",
        retention_in_days=retention_days,
        tags=own_tags,
        opts=options,
    )
    role = aws.iam.Role(
        f"{name}-flow-log",
        assume_role_policy=service_trust("vpc-flow-logs.amazonaws.com"),
        tags=own_tags,
        opts=options,
    )
    policy = aws.iam.RolePolicy(
        f"{name}-flow-log",
        role=role.name,
        policy=document(
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                "Resource": [group.arn, pulumi.Output.concat(group.arn, ":*")],
            }
        ),
        opts=options,
    )
    aws.ec2.FlowLog(
        f"{name}-flow-log",
        vpc_id=vpc_id,
        traffic_type="ALL",
        log_destination=group.arn,
        iam_role_arn=role.arn,
        max_aggregation_interval=60,
        tags=own_tags,
        opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[policy])),
    )
