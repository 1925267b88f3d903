"""What one setting of `architecture: queue` means for another. AWS, or the first lost job, would say so later."""

from collections.abc import Iterator

from settings.component_tables import component_module
from settings.host_relations import told_domain_violations, unreachable_image_violations
from settings.model import Settings
from settings.violation import Violation

_HOST_MEBIBYTES = 1_024
"""For the system, Docker, sandboxd and the worker itself."""
_API_HOST_MEBIBYTES = 1_408
"""For the system, Docker, and the API with its limit."""


def queue_architecture_violations(settings: Settings) -> Iterator[Violation]:
    """Everything between the settings of queue that cannot stand together."""
    yield from _image_violations(settings)
    yield from _floor_violations(settings)
    yield from _group_violations(settings)
    yield from _type_violations(settings)
    yield from _memory_violations(settings)
    yield from _region_violations(settings)
    if settings.queue.redis is not None and settings.doorbell.kind != "redis":
        yield Violation(
            "queue.redis",
            f"given, and fleet.doorbell.kind is {settings.doorbell.kind}, so that nobody would use it: set that to "
            "redis, or remove it",
            ("doorbell.kind",),
        )


def queue_architecture_notices(settings: Settings) -> Iterator[str]:
    """What is allowed but worth knowing."""
    spot = settings.queue.spot
    if spot is not None and len(spot.instance_types) < 3:
        yield (
            f"fleet.queue.spot.instance_types has {len(spot.instance_types)}: the fewer there are, the more often AWS "
            "takes a host back. Five are usual."
        )
    if settings.queue.api.minimum == 1:
        yield "fleet.queue.api.minimum is 1: while that host is replaced, the API answers nobody."


def _image_violations(settings: Settings) -> Iterator[Violation]:
    images, registry = settings.images, settings.queue.registry
    only = registry is not None and registry.only
    if images.digests is None and images.registry is None and not only:
        yield Violation(
            "images.digests",
            "not given, and hosts on EC2 pull their images from a registry: give the images by digest, or "
            "fleet.images.registry to build them and push them there, or set fleet.queue.registry.only to true for a "
            "first run that makes the repositories",
            ("images.registry", "queue.registry.only"),
        )
    if images.digests is not None and images.registry is not None:
        yield Violation(
            "images.registry",
            "given as well as fleet.images.digests, with which nothing is built and pushed: leave one of the two out",
            ("images.digests",),
        )


def _floor_violations(settings: Settings) -> Iterator[Violation]:
    queue = settings.queue
    floor = 0 if queue.on_demand is None else queue.on_demand.minimum
    if queue.on_demand is None and queue.spot is None:
        yield Violation(
            "queue.on_demand", "given null, as is fleet.queue.spot, and nobody would run a job: give one of the two", ()
        )
    elif queue.spot is None and floor == 0:
        # What tracks a target multiplies the hosts that there are; only spot hosts have an alarm that starts the first.
        yield Violation(
            "queue.on_demand.minimum",
            "given 0 without hosts in fleet.queue.spot; hosts on demand are not started from none, and nobody would "
            "run a job: allowed from a minimum of 1, or give fleet.queue.spot",
            ("queue.spot",),
        )
    elif queue.spot is not None and floor == 0 and not queue.spot_without_floor_allowed:
        path = "queue.on_demand" if queue.on_demand is None else "queue.on_demand.minimum"
        given = "null" if queue.on_demand is None else "0"
        yield Violation(
            path,
            f"given {given} with hosts in fleet.queue.spot, and while AWS has no spare capacity nobody would run a "
            "job: allowed from a minimum of 1, or set fleet.queue.spot_without_floor_allowed to true",
            ("queue.spot", "queue.spot_without_floor_allowed"),
        )


def _group_violations(settings: Settings) -> Iterator[Violation]:
    queue = settings.queue
    for name, group in (("api", queue.api), ("on_demand", queue.on_demand), ("spot", queue.spot)):
        if group is not None and group.minimum > group.maximum:
            yield Violation(
                f"queue.{name}.minimum",
                f"given {group.minimum}, and fleet.queue.{name}.maximum is {group.maximum}: allowed up to that",
                (f"queue.{name}.maximum",),
            )
    hosts = sum(group.maximum for group in (queue.on_demand, queue.spot) if group is not None)
    concurrency, limit = settings.workers.concurrency, settings.limits.max_concurrent_agents
    if hosts * concurrency > limit:
        yield Violation(
            "limits.max_concurrent_agents",
            f"given {limit}; {hosts} worker hosts (the maxima of fleet.queue.on_demand and fleet.queue.spot) run "
            f"{hosts * concurrency} jobs at once, {concurrency} each (fleet.workers.concurrency): allowed from that, "
            f"or lower the maxima to {limit // concurrency} hosts together",
            ("workers.concurrency", "queue.on_demand.maximum", "queue.spot.maximum"),
        )


def _types(settings: Settings) -> Iterator[tuple[str, str]]:
    queue = settings.queue
    yield "queue.api.instance_type", queue.api.instance_type
    if queue.on_demand is not None:
        yield "queue.on_demand.instance_type", queue.on_demand.instance_type
    if queue.spot is not None:
        for number, each in enumerate(queue.spot.instance_types):
            yield f"queue.spot.instance_types[{number}]", each


def _type_violations(settings: Settings) -> Iterator[Violation]:
    table = component_module("aws/instance_families")
    wanted = settings.queue.image_architecture
    for path, given in _types(settings):
        problem: str | None = table.family_problem(given)
        if problem is not None:
            yield Violation(path, f"given {given}; {problem}")
        elif table.architecture_of(given) != wanted:
            yield Violation(
                path,
                f"given {given}, whose processors are {table.architecture_of(given)}, and the images are for {wanted} "
                "(fleet.queue.image_architecture): give a type of that architecture, or images for the other and "
                "change that setting",
                ("queue.image_architecture",),
            )


def _memory_violations(settings: Settings) -> Iterator[Violation]:
    table = component_module("aws/instance_families")
    concurrency, each = settings.workers.concurrency, settings.sandbox.memory_mebibytes
    needed = concurrency * each + _HOST_MEBIBYTES
    for path, given in _types(settings):
        memory: int | None = table.memory_mebibytes(given)
        if memory is None:
            continue
        if path.startswith("queue.api"):
            if memory < _API_HOST_MEBIBYTES:
                yield Violation(
                    path,
                    f"given {given}, which has {memory} MiB; the system, Docker and the API take up to "
                    f"{_API_HOST_MEBIBYTES}: give a larger type",
                )
        elif memory < needed:
            yield Violation(
                path,
                f"given {given}, which has {memory} MiB; {concurrency} jobs at once (fleet.workers.concurrency) of "
                f"{each} MiB (fleet.sandbox.memory_mebibytes) and the host's own programs take up to {needed}: give a "
                "larger type, or lower one of the two",
                ("workers.concurrency", "sandbox.memory_mebibytes"),
            )
    if settings.sandbox.maximum < concurrency:
        yield Violation(
            "sandbox.maximum",
            f"given {settings.sandbox.maximum}; a host runs {concurrency} jobs at once (fleet.workers.concurrency), "
            f"each in a sandbox of its own: allowed from {concurrency}",
            ("workers.concurrency",),
        )


def _region_violations(settings: Settings) -> Iterator[Violation]:
    yield from unreachable_image_violations(settings)
    yield from told_domain_violations(settings)
    registry = settings.queue.registry
    if registry is not None and settings.aws.region in registry.replica_regions:
        yield Violation(
            "queue.registry.replica_regions",
            f"given {settings.aws.region}, which is the stack's own region (fleet.aws.region): leave it out",
            ("aws.region",),
        )
    if settings.aws.nat == "none" and settings.sandbox.egress.domains:
        yield Violation(
            "aws.nat",
            "given none, and fleet.sandbox.egress has domains that jobs may reach, which no host could: allowed are "
            "one and per_zone, or remove the domains",
            ("sandbox.egress.domains",),
        )
