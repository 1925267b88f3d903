"""The stack `staging` on the real engine, with the stand-in that keeps state only: what a change touches."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_program import Outcome, StackProgram

PROJECT = Path(__file__).parent.parent.parent
PROGRAM = """
import json, sys
from datetime import date
sys.path.insert(0, {project!r})
import pulumi
from settings.load import from_mapping
settings = from_mapping(json.loads({text!r}), stack="probe", today=date(2026, 11, 21))
if settings.architecture == "queue":
    from architectures import queue
    found = queue.deploy("agent-fleet-probe", settings).outputs
else:
    from architectures import cluster
    found = {{"url": cluster.deploy("agent-fleet-probe", settings).url}}
for name, value in found.items():
    pulumi.export(name, value)
"""
KEEPERS = ("aws:ec2:Vpc", "aws:ec2:Subnet", "aws:rds:Instance", "aws:kms:Key", "aws:sqs:Queue")
"""What holds something, or what everything is in."""
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/fleet"


def settings(stack: str, **given: Any) -> dict[str, Any]:
    """A shipped stack's settings, without protection, with what a test changes."""
    found = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())["config"]["agent-fleet:fleet"]
    found["aws"]["deletion_protection"] = False
    for name, value in given.items():
        own = found.get(name)
        found[name] = {**own, **value} if isinstance(own, dict) and isinstance(value, dict) else value
    return found


def images(seed: str) -> dict[str, Any]:
    """Images by digest."""
    return {"digests": {name: f"{ECR}/{name}@sha256:{seed * 64}" for name in ("runtime", "sandbox", "postgres")}}


def write(stack: StackProgram, found: dict[str, Any]) -> None:
    """Have the stack be these settings."""

    stack.write(PROGRAM.format(project=str(PROJECT), text=json.dumps(found)))


def gone(outcome: Outcome, kinds: tuple[str, ...] = KEEPERS) -> list[str]:
    """The lines that delete or replace a resource of these kinds."""
    return [
        line
        for line in outcome.text.splitlines()
        if re.search(r"\b(delete|replace)", line) and any(f"{kind} " in line for kind in kinds)
    ]


@pytest.mark.timeout(600)
def test_staging_lives_on_the_engine_and_a_change_touches_what_it_must(stack: StackProgram) -> None:
    """Prevents a second run that changes something, and a new image that takes the queue or the database along."""
    write(stack, settings("staging", images=images("a")))
    created = stack.up().succeeded().changes["created"]
    outputs = stack.outputs()
    assert outputs["queue_url"].endswith("/agent-fleet-probe-jobs")
    assert outputs["spot_workers"] == "agent-fleet-probe-workers-spot"
    assert stack.up().succeeded().changes == {"unchanged": created}

    # A new image is a new version of the three launch templates, which their groups roll over to.
    write(stack, settings("staging", images=images("b")))
    outcome = stack.preview().succeeded()
    assert outcome.changes == {"to update": 6, "unchanged": created - 6}
    touched = {kind for kind in ("LaunchTemplate", "Group") if re.search(rf"aws:\w+:{kind} .*update", outcome.text)}
    assert touched == {"LaunchTemplate", "Group"}

    # Another doorbell makes the one and removes the other; jobs are in neither.
    write(stack, settings("staging", images=images("a"), doorbell={"kind": "redis"}))
    outcome = stack.preview().succeeded()
    assert not gone(outcome, ("aws:rds:Instance", "aws:ec2:Vpc", "aws:autoscaling:Group", "aws:lb:LoadBalancer"))
    assert re.search(r"aws:elasticache:ReplicationGroup .*create", outcome.text)

    # Kubernetes keeps the network and the database: no job and no result moves.
    prod = settings(
        "prod", aws={"cidr": "10.40.0.0/16", "database": settings("staging")["aws"]["database"], "nat": "one"}
    )
    write(stack, prod)
    outcome = stack.preview().succeeded()
    assert not gone(outcome, ("aws:rds:Instance", "aws:kms:Key", "aws:ec2:Vpc", "aws:ec2:Subnet"))
    assert re.search(r"aws:eks:Cluster .*create", outcome.text)

    write(stack, settings("staging", images=images("a")))
    assert stack.destroy().succeeded().changes == {"deleted": created}
