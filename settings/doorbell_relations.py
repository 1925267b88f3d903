"""What the choice of a doorbell means for other settings."""

from collections.abc import Iterator

from settings.model import Settings
from settings.violation import Violation

_LONGEST_QUEUE_NAME = 80
"""SQS's limit."""
_DEAD_LETTERS = "-dead-letters"


def doorbell_violations(settings: Settings) -> Iterator[Violation]:
    """A doorbell that the target does not have, or whose image nobody has given."""
    kind = settings.doorbell.kind
    if kind == "sqs" and settings.target != "eks" and settings.architecture != "queue":
        yield Violation(
            "doorbell.kind",
            f"given sqs, and fleet.target is {settings.target}; the queues are made on AWS: allowed are postgres and "
            "redis, or the target eks, or architecture queue",
            ("target",),
        )
    if settings.aws.job_queue is not None and kind != "sqs":
        yield Violation(
            "aws.job_queue",
            f"given, and fleet.doorbell.kind is {kind}, so that nobody would send to it: set that to sqs, or remove it",
            ("doorbell.kind",),
        )
    for source in ("digests", "imported"):
        images = getattr(settings.images, source)
        # On queue it is ElastiCache, which has its own.
        own = settings.architecture != "queue"
        if kind == "redis" and own and images is not None and images.redis is None:
            yield Violation(
                f"images.{source}.redis",
                "not given, and fleet.doorbell.kind is redis: give Redis's image (images/redis), or set that to "
                "postgres",
                ("doorbell.kind",),
            )


def queue_name_violations(fleet: str, settings: Settings) -> Iterator[Violation]:
    """Pools whose queue would have a longer name than SQS takes."""
    if settings.doorbell.kind != "sqs":
        return
    for team_name, team in settings.teams.items():
        for agent_type in team.pools:
            name = f"{fleet}-{team_name}-{agent_type}{_DEAD_LETTERS}"
            if len(name) > _LONGEST_QUEUE_NAME:
                yield Violation(
                    f"teams.{team_name}.pools.{agent_type}",
                    f"its queue's dead letters would be called {name}, which has {len(name)} characters, and SQS takes "
                    f"{_LONGEST_QUEUE_NAME}: give the stack, the team or the agent type a shorter name, or set "
                    "fleet.doorbell.kind to postgres or redis",
                    ("doorbell.kind",),
                )
