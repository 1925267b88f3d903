"""The doorbell on SQS, for `target: eks`: a queue for each pool, and who may send to it and read it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from agent_fleet import JobQueue

from architectures.foundation import RingQueues
from architectures.names import api_name, pool_name
from settings.aws_model import JobQueue as QueueSettings
from settings.model import Settings

RING_SECONDS = 60
"""How long a ring waits for a worker, SQS's least: older ones are for jobs that a worker has found by itself."""


def _document(statements: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    return {"Version": "2012-10-17", "Statement": statements}


NO_RIGHTS = json.dumps(_document([{"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]))
"""A policy cannot be empty, and this needs no right."""


@dataclass(frozen=True)
class Rings:
    """What was declared."""

    queues: RingQueues | None = None
    policies: Mapping[str, pulumi.Output[str]] = field(default_factory=dict[str, pulumi.Output[str]])
    """What a pool's pods, or the API's, may do, by the name of the pool or API."""
    outputs: Mapping[str, pulumi.Output[str]] = field(default_factory=dict[str, pulumi.Output[str]])


def declare_rings(fleet: str, settings: Settings, on_aws: pulumi.ResourceOptions) -> Rings:
    """Declare the queues, if SQS is the doorbell. A pool has its own alone; the fleet's API sends to all."""
    if settings.doorbell.kind != "sqs":
        return Rings()
    given = settings.aws.job_queue or QueueSettings()
    templates = [pool_name(team, agent_type) for team, each in settings.teams.items() for agent_type in each.pools]
    queues = {
        template: JobQueue(
            f"{fleet}-{template}",
            {
                "fleet": fleet,
                "visibility_timeout_seconds": given.visibility_timeout_seconds,
                "maximum_receives": given.maximum_receives,
                "message_retention_seconds": RING_SECONDS,
            },
            opts=on_aws,
        )
        for template in templates
    }

    def pattern(urls: list[str]) -> str:
        return urls[0].removesuffix(templates[0]) + "{template}"

    policies = {
        template: _allowed([queue.arn], ["SendMessage", "ReceiveMessage", "DeleteMessage"])
        for template, queue in queues.items()
    }
    policies[api_name(fleet)] = _allowed([queue.arn for queue in queues.values()], ["SendMessage"])
    url = pulumi.Output.all(*(queue.url for queue in queues.values())).apply(pattern)
    return Rings(RingQueues(url, (settings.aws.cidr,)), policies, {"queue_url": url})


def _allowed(arns: Sequence[pulumi.Output[str]], actions: Sequence[str]) -> pulumi.Output[str]:
    statement = {"Effect": "Allow", "Action": [f"sqs:{each}" for each in actions], "Resource": list(arns)}
    return pulumi.Output.json_dumps(_document([statement]))
