"""The settings of the doorbell: what wakes a worker when a job was accepted."""

from typing import Literal

from pydantic import Field

from settings.values import Section


class Doorbell(Section):
    """What wakes the workers when a job was accepted, and tells of cancels and ends. It carries jobs' ids and nothing
    else: while it is away jobs wait for the workers' next look at the database, a second at the most."""

    kind: Literal["postgres", "redis", "sqs"] = Field(default="postgres")
    """`postgres`: the database itself, by LISTEN and NOTIFY. `redis`: a Redis of the fleet's own beside the database,
    which keeps nothing; on queue it is ElastiCache's. `sqs`: a queue on AWS, on eks one for each pool; cancels and ends
    still go by the database. Left out: `postgres`, and `sqs` where the architecture is queue."""
