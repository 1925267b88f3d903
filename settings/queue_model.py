"""The settings of `architecture: queue`: hosts for the API, hosts for workers, and how many of these there are.

The figures 2 to 3 and 0 to 50 are D7's, of the documents that docs/design.md names.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from settings.aws_model import InstanceType, InstanceTypes, Region
from settings.host_model import MachineImage
from settings.values import NOT_A_TRUTH_VALUE, Section, WholeNumber, distinct, text

CacheNode = Annotated[str, text(r"^cache\.[a-z0-9]+\.[a-z0-9]+$", "an ElastiCache node type, such as cache.t4g.small")]


class ApiHosts(Section):
    """The hosts of the API. They have no Docker socket and run no job."""

    instance_type: InstanceType = "t3.medium"
    """Their EC2 instance type."""
    minimum: WholeNumber = Field(default=2, ge=1, le=100)
    """Hosts at the least. With 2, one may be lost or replaced and the API still answers."""
    maximum: WholeNumber = Field(default=4, ge=1, le=100)
    """Hosts at the most."""
    cpu_percent: WholeNumber = Field(default=60, ge=10, le=90)
    """Average processor use that the group is kept at, in percent."""


class OnDemandWorkers(Section):
    """Worker hosts that AWS does not take back: the floor."""

    instance_type: InstanceType = "m7i.large"
    """Their EC2 instance type."""
    minimum: WholeNumber = Field(default=2, ge=0, le=1_000)
    """Hosts at the least (D7: 2)."""
    maximum: WholeNumber = Field(default=3, ge=0, le=1_000)
    """Hosts at the most (D7: 3)."""
    warm_hosts: WholeNumber = Field(default=0, ge=0, le=100)
    """Hosts that are set up and stopped ahead of need: they start in less than a minute, and cost their disks while
    they wait. 0: none. Spot hosts cannot have any, AWS refuses it."""


class SpotWorkers(Section):
    """Worker hosts at spot prices. AWS may take one back with a notice of two minutes; its jobs go back then."""

    instance_types: InstanceTypes = Field(
        default=("m7i.large", "m6i.large", "m6a.large", "m5.large", "m7a.large"), min_length=1
    )
    """EC2 instance types, all of one memory. The more there are, the less often AWS takes one back."""
    minimum: WholeNumber = Field(default=0, ge=0, le=1_000)
    """Hosts at the least (D7: 0)."""
    maximum: WholeNumber = Field(default=50, ge=1, le=1_000)
    """Hosts at the most (D7: 50)."""


class Scaling(Section):
    """How the worker hosts follow the jobs."""

    jobs_per_host: Annotated[int, Field(ge=1, le=1_000), NOT_A_TRUTH_VALUE] | None = None
    """Queued and running jobs that each worker host is to have. Left out: three quarters of
    `fleet.workers.concurrency`, which leaves room for jobs that come while hosts start. More makes jobs wait."""
    warm_up_seconds: WholeNumber = Field(default=180, ge=30, le=3_600)
    """How long a host takes from its start until it runs jobs. So long it does not count as one that is missing."""


def usual_jobs_per_host(concurrency: int) -> int:
    """What `jobs_per_host` is where it was left out, for hosts that run `concurrency` jobs at once.

    Three quarters, as `python -m benchmarks --only scaling` found: with all of them hosts are full when there are just
    enough, a queue builds up, and too many are started.
    """
    return max(1, concurrency * 3 // 4)


class RedisCache(Section):
    """The Redis of `fleet.doorbell.kind: redis`, on ElastiCache."""

    node_type: CacheNode = "cache.t4g.small"
    """The type of each of its nodes."""
    replicas: WholeNumber = Field(default=1, ge=0, le=5)
    """Nodes in other zones that take over when the first is lost. 0: while it is replaced, jobs wait for the workers'
    next look at the database."""


class HostRegistry(Section):
    """Repositories on ECR for the fleet's images, `<fleet>/runtime`, `/sandbox` and `/postgres`."""

    replica_regions: Annotated[tuple[Region, ...], AfterValidator(distinct)] = ()
    """Regions that every image is copied to, for stacks there (D9). It is a rule of the whole account in this region:
    one stack of the account may have it."""
    only: bool = False
    """Make these repositories and nothing else: for the first run, before there are images that a host could run."""


class Queue(Section):
    """Hosts for the API behind a load balancer, and hosts for workers that follow the jobs."""

    machine_image: MachineImage | None = None
    """The machine image of all hosts. Left out: the newest Amazon Linux 2023 on the day that a host starts."""
    image_architecture: Literal["amd64", "arm64"] = "amd64"
    """The processors that `fleet.images` are for. Instance types of others are refused: their hosts would start, and
    run nothing."""
    disk_gibibytes: WholeNumber = Field(default=40, ge=20, le=16_384)
    """The disk of each host, encrypted. It goes with the host."""
    api: ApiHosts = ApiHosts()
    on_demand: OnDemandWorkers | None = OnDemandWorkers()
    """`null`: none."""
    spot: SpotWorkers | None = SpotWorkers()
    """`null`: none."""
    spot_without_floor_allowed: bool = False
    """Whether there may be spot hosts without a single host on demand. Then nobody runs jobs while AWS has no spare
    capacity."""
    rebalance: Literal["drain", "ignore"] = "drain"
    """What a spot host does when AWS says that it is more likely to be taken back: `drain` hands its jobs to the host
    that AWS starts in its place; `ignore` waits for the notice itself."""
    scaling: Scaling = Scaling()
    redis: RedisCache | None = None
    """Left out: as the defaults have it. With another doorbell there is none."""
    registry: HostRegistry | None = None
    """Left out: the images are in a registry that is there already."""
