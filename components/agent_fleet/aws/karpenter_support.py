"""What Karpenter needs in AWS: its own role, its nodes' role, and a queue that tells it of interruptions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.cluster_nodes import node_role
from agent_fleet.aws.karpenter_policy import controller_policy
from agent_fleet.aws.policy_documents import document, pod_identity_trust, tls_only

DEFAULT_NAMESPACE = "kube-system"
SERVICE_ACCOUNT = "karpenter"
"""The chart's own default for both: https://karpenter.sh/docs/getting-started/"""
MESSAGE_RETENTION_SECONDS = 300
"""An interruption older than that is over."""

EVENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "health": {"source": ["aws.health"], "detail-type": ["AWS Health Event"]},
        "spot": {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]},
        "rebalance": {"source": ["aws.ec2"], "detail-type": ["EC2 Instance Rebalance Recommendation"]},
        "state": {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]},
        "capacity": {
            "source": ["aws.ec2"],
            "detail-type": ["EC2 Capacity Reservation Instance Interruption Warning"],
        },
    }
)
"""The events that Karpenter reads from its queue: https://karpenter.sh/docs/reference/cloudformation/"""


@dataclass(frozen=True)
class KarpenterSupport:
    """What Karpenter and its node classes are told."""

    queue_name: pulumi.Output[str]
    controller_role_arn: pulumi.Output[str]
    instance_profile: pulumi.Output[str]


def declare_karpenter_support(
    name: str,
    cluster: aws.eks.Cluster,
    *,
    namespace: str,
    own_tags: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    readable_bucket_arn: pulumi.Input[str] | None = None,
) -> KarpenterSupport:
    """Declare it all. The instance profile is ours, because a private VPC has no endpoint for IAM."""
    options = pulumi.ResourceOptions(parent=parent)
    role, _ = node_role(
        f"{name}-karpenter-nodes", cluster.arn, own_tags, options, readable_bucket_arn=readable_bucket_arn
    )
    profile = aws.iam.InstanceProfile(f"{name}-karpenter-nodes", role=role.name, tags=own_tags, opts=options)
    # Managed groups get this entry from EKS; Karpenter's nodes could not join without one.
    aws.eks.AccessEntry(
        f"{name}-karpenter-nodes",
        cluster_name=cluster.name,
        principal_arn=role.arn,
        type="EC2_LINUX",
        tags=own_tags,
        opts=options,
    )
    queue = _interruption_queue(name, own_tags, options)
    controller = aws.iam.Role(
        f"{name}-karpenter",
        assume_role_policy=pod_identity_trust(cluster.arn, namespace, SERVICE_ACCOUNT),
        tags=own_tags,
        opts=options,
    )
    policy = aws.iam.RolePolicy(
        f"{name}-karpenter",
        role=controller.name,
        policy=controller_policy(
            cluster_name=cluster.name,
            cluster_arn=cluster.arn,
            node_role_arn=role.arn,
            instance_profile_arn=profile.arn,
            queue_arn=queue.arn,
        ),
        opts=options,
    )
    aws.eks.PodIdentityAssociation(
        f"{name}-karpenter",
        cluster_name=cluster.name,
        namespace=namespace,
        service_account=SERVICE_ACCOUNT,
        role_arn=controller.arn,
        tags=own_tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[policy]),
    )
    return KarpenterSupport(queue.name, controller.arn, profile.name)


def _interruption_queue(
    name: str, own_tags: Mapping[str, pulumi.Input[str]], options: pulumi.ResourceOptions
) -> aws.sqs.Queue:
    queue = aws.sqs.Queue(
        f"{name}-karpenter",
        name=f"{name}-karpenter",
        message_retention_seconds=MESSAGE_RETENTION_SECONDS,
        sqs_managed_sse_enabled=True,
        tags=own_tags,
        opts=options,
    )
    rules = [
        aws.cloudwatch.EventRule(
            f"{name}-karpenter-{event}",
            description=f"Tells Karpenter of {pattern['detail-type'][0]}",
            event_pattern=json.dumps(pattern),
            tags=own_tags,
            opts=options,
        )
        for event, pattern in EVENTS.items()
    ]
    for event, rule in zip(EVENTS, rules, strict=True):
        aws.cloudwatch.EventTarget(
            f"{name}-karpenter-{event}", rule=rule.name, target_id="karpenter", arn=queue.arn, opts=options
        )
    aws.sqs.QueuePolicy(
        f"{name}-karpenter",
        queue_url=queue.url,
        policy=document(
            {
                "Sid": "EventsArrive",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue.arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": [rule.arn for rule in rules]}},
            },
            tls_only("sqs:*", [queue.arn]),
        ),
        opts=options,
    )
    return queue
