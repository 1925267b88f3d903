"""The doorbell on SQS: it carries a job's id and nothing else, and a lost or doubled ring costs nothing."""

from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from agent_fleet.aws.policy_documents import document, tls_only
from agent_fleet.aws.resource_tags import tags

LONG_POLL_SECONDS = 20
"""The longest that SQS allows: an idle worker asks three times a minute."""
DEFAULT_RETENTION_SECONDS = 345_600
DEAD_LETTER_RETENTION_SECONDS = 1_209_600
"""14 days, the longest that SQS allows: somebody is to look at them."""


class JobQueueArgs(TypedDict):
    """How the doorbell rings."""

    fleet: pulumi.Input[str]
    """The fleet's name, for the tags."""
    visibility_timeout_seconds: pulumi.Input[int]
    """How long a ring that was heard stays away from other workers: longer than a worker needs to claim the job."""
    maximum_receives: pulumi.Input[int]
    """How often a ring is heard before it goes to the dead-letter queue."""
    message_retention_seconds: NotRequired[pulumi.Input[int]]
    """How long a ring waits; 4 days if left out, SQS's own default. The job itself is in the database."""
    owner: NotRequired[pulumi.Input[str]]
    """The `owner` tag."""


class JobQueue(pulumi.ComponentResource):
    """A queue with its dead-letter queue: encrypted, reached over TLS only, and by IAM only."""

    url: pulumi.Output[str]
    """What workers poll and the API sends to. Known only when its policy is there."""
    arn: pulumi.Output[str]
    """For the policies of those who do."""
    dead_letter_url: pulumi.Output[str]
    """Where rings go that nobody could handle: an alarm's place."""
    dead_letter_arn: pulumi.Output[str]
    """For who moves them back."""

    def __init__(self, name: str, args: JobQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare both queues; see `JobQueueArgs`."""
        super().__init__("agent-fleet:index:JobQueue", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        own_tags = tags(args["fleet"], "job-queue", args.get("owner"))
        # Renaming either queue replaces it, and the rings in it are lost: the sweeper finds their jobs a lease later.
        dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            name=f"{name}-dead-letters",
            message_retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=own_tags,
            opts=options,
        )
        queue = aws.sqs.Queue(
            name,
            name=name,
            visibility_timeout_seconds=args["visibility_timeout_seconds"],
            message_retention_seconds=args.get("message_retention_seconds", DEFAULT_RETENTION_SECONDS),
            receive_wait_time_seconds=LONG_POLL_SECONDS,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": args["maximum_receives"]}
            ),
            # The queues' own keys: no key of ours to pay for, and nothing of worth in a ring.
            sqs_managed_sse_enabled=True,
            tags=own_tags,
            opts=options,
        )
        aws.sqs.RedriveAllowPolicy(
            f"{name}-dead-letters",
            queue_url=dead_letters.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}
            ),
            opts=options,
        )
        policies = [
            aws.sqs.QueuePolicy(
                own_name, queue_url=each.url, policy=document(tls_only("sqs:*", [each.arn])), opts=options
            )
            for own_name, each in ((name, queue), (f"{name}-dead-letters", dead_letters))
        ]
        self.url = pulumi.Output.all(queue.url, policies[0].id).apply(lambda both: str(both[0]))
        self.arn = queue.arn
        self.dead_letter_url = pulumi.Output.all(dead_letters.url, policies[1].id).apply(lambda both: str(both[0]))
        self.dead_letter_arn = dead_letters.arn
        self.register_outputs(
            {
                "url": self.url,
                "arn": self.arn,
                "dead_letter_url": self.dead_letter_url,
                "dead_letter_arn": self.dead_letter_arn,
            }
        )
