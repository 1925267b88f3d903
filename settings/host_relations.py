"""What one setting of hosts on EC2 means for another: the way in, the network, the images, the instance type."""

import ipaddress
from collections.abc import Iterator

from settings.component_tables import component_module
from settings.model import Settings
from settings.violation import Violation

_LARGEST_PUBLIC_PREFIX = 8
"""A wider network than this is a good part of the internet, whatever it is called; no organisation has more."""
_MOST_DOMAIN_CHARACTERS = 12_000
"""User data takes 16 KiB, compressed; the rest of it has about 8, and names of domains shrink by little."""
_SYSTEM_MEBIBYTES = 1_024
"""What the operating system and Docker need beside the fleet's own programs."""


def host_violations(settings: Settings) -> Iterator[Violation]:
    """Everything about vm on EC2 that no single key shows."""
    yield from entrance_violations(settings)
    yield from zone_violations(settings)
    yield from address_violations(settings)
    yield from _registry_violations(settings)
    yield from told_domain_violations(settings)
    if settings.entrance.kind == "load_balancer":
        yield from unreachable_image_violations(settings)
    yield from _instance_type_violations(settings)
    if settings.doorbell.kind != "postgres":
        yield Violation(
            "doorbell.kind",
            f"given {settings.doorbell.kind}; on one host everything is beside the database, which rings itself: "
            "allowed is postgres, or architecture queue",
            ("architecture", "target"),
        )
    if settings.entrance.kind == "public_address" and settings.aws.nat != "none":
        yield Violation(
            "aws.nat",
            f"given {settings.aws.nat}, which costs by the hour, and a host with a public address does not use it: set "
            "it to none",
            ("entrance.kind",),
        )


def entrance_violations(settings: Settings) -> Iterator[Violation]:
    """A way in that nobody could use, or that everybody could."""
    entrance = settings.entrance
    balanced = entrance.kind == "load_balancer"
    if balanced and entrance.certificate_arn is None:
        yield Violation(
            "entrance.certificate_arn",
            "not given, and a load balancer has no TLS without: give the ARN of a certificate in ACM in "
            f"{settings.aws.region}, or choose public_address on vm",
            ("entrance.kind",),
        )
    if balanced and entrance.certificate_arn is not None:
        region = entrance.certificate_arn.split(":")[3]
        if region != settings.aws.region:
            yield Violation(
                "entrance.certificate_arn",
                f"given one in {region}; a load balancer takes certificates of its own region, fleet.aws.region "
                f"{settings.aws.region}: give one of that",
                ("aws.region",),
            )
    if not balanced:
        if settings.architecture != "vm":
            yield Violation(
                "entrance.kind",
                "given public_address, and several hosts have no one address: allowed is load_balancer, or "
                "architecture vm",
                ("architecture",),
            )
        for key in ("certificate_arn", "host"):
            if getattr(entrance, key) is not None:
                yield Violation(
                    f"entrance.{key}",
                    "given, and a host with a public address has no TLS: remove it, or choose load_balancer",
                    ("entrance.kind",),
                )
        if entrance.internal:
            yield Violation(
                "entrance.internal",
                "given true, and fleet.entrance.kind is public_address: remove it, or choose load_balancer",
                ("entrance.kind",),
            )
        wide = [
            each for each in entrance.client_cidrs if ipaddress.IPv4Network(each).prefixlen < _LARGEST_PUBLIC_PREFIX
        ]
        if wide:
            what = "the whole internet" if wide[0].endswith("/0") else "a large part of the internet"
            yield Violation(
                "entrance.client_cidrs",
                f"given {wide[0]}, {what}, and API keys would cross it in plain HTTP: give the networks that clients "
                f"come from, each /{_LARGEST_PUBLIC_PREFIX} or smaller, or choose load_balancer",
                ("entrance.kind",),
            )
    if not entrance.client_cidrs:
        yield Violation(
            "entrance.client_cidrs",
            "none given, and nobody would reach the API: give the networks that clients come from",
        )


def zone_violations(settings: Settings) -> Iterator[Violation]:
    """Zones of another region."""
    aws = settings.aws
    for number, zone in enumerate(aws.zones):
        if zone[:-1] != aws.region:
            yield Violation(
                f"aws.zones[{number}]",
                f'given "{zone}", which is not in fleet.aws.region, {aws.region}: allowed are zones such as '
                f"{aws.region}a",
                ("aws.region", "aws.zones"),
            )


def address_violations(settings: Settings) -> Iterator[Violation]:
    """Addresses that cannot be divided over the zones."""
    try:
        component_module("aws/subnets").plan_subnets(settings.aws.cidr, len(settings.aws.zones))
    except ValueError as error:
        yield Violation("aws.cidr", str(error).removeprefix("cidr: ").rstrip("."), ("aws.zones",))


def unreachable_image_violations(settings: Settings) -> Iterator[Violation]:
    """Images that private hosts without a way out cannot pull: endpoints lead to the region's own ECR alone."""
    images, region = settings.images, settings.aws.region
    if settings.aws.nat != "none":
        return
    if images.digests is None:
        given = {"images.registry": images.registry}
    else:
        # On queue the database is RDS, which brings its own.
        pulled = ("runtime", "sandbox", *(("postgres",) if settings.architecture == "vm" else ()))
        given = {f"images.digests.{name}": getattr(images.digests, name) for name in pulled}
    for path, reference in given.items():
        if reference is not None and f".dkr.ecr.{region}.amazonaws.com" not in reference.partition("/")[0]:
            yield Violation(
                path,
                f"given {reference.partition('@')[0]}, and fleet.aws.nat is none, so that hosts reach no registry but "
                f"ECR in {region}: give one there, or allow a way out by fleet.aws.nat one",
                ("aws.nat", "aws.region"),
            )


def told_domain_violations(settings: Settings) -> Iterator[Violation]:
    """More domains than a host can be told of when it starts."""
    domains = settings.sandbox.egress.domains
    given = sum(len(each) + 1 for each in domains)
    if given > _MOST_DOMAIN_CHARACTERS:
        yield Violation(
            "sandbox.egress.domains",
            f"given {len(domains)} with {given} characters together; a host on EC2 is told all of them as it starts, "
            f"for which there is room for {_MOST_DOMAIN_CHARACTERS}: name fewer, or one domain with a star for many",
        )


def entrance_notices(settings: Settings) -> Iterator[str]:
    """What is allowed but worth knowing about the way in."""
    if settings.target == "ec2" and settings.entrance.kind == "public_address":
        yield (
            "fleet.entrance.kind is public_address: the API answers over plain HTTP, API keys included, to "
            f"{', '.join(settings.entrance.client_cidrs)}. For anything but a trial choose load_balancer."
        )


def _registry_violations(settings: Settings) -> Iterator[Violation]:
    images = settings.images
    if images.digests is None and images.registry is None:
        yield Violation(
            "images.registry",
            "not given, and the host can pull from nowhere: give the registry that built images are pushed to, or "
            "fleet.images.digests for images that are in one already",
            ("images.digests",),
        )
    if images.digests is not None and images.registry is not None:
        yield Violation(
            "images.registry",
            "given as well as fleet.images.digests, with which nothing is built and pushed: leave one of the two out",
            ("images.digests",),
        )


def _instance_type_violations(settings: Settings) -> Iterator[Violation]:
    families, given = component_module("aws/instance_families"), settings.host.instance_type
    problem: str | None = families.family_problem(given)
    if problem is not None:
        yield Violation("host.instance_type", f"given {given}; {problem}")
        return
    available: int | None = families.memory_mebibytes(given)
    workers, sandbox = settings.workers.count, settings.sandbox
    # Containers that wait for jobs take little; what must fit is the programs, and the sandboxes of all running jobs.
    jobs = workers * settings.workers.concurrency
    needed = _SYSTEM_MEBIBYTES + settings.database.memory_mebibytes + 768 + workers * 512
    needed += jobs * sandbox.memory_mebibytes
    if available is not None and needed > available:
        yield Violation(
            "host.instance_type",
            f"given {given} with {available} MiB; the fleet's programs and {jobs} jobs of "
            f"{sandbox.memory_mebibytes} MiB (fleet.workers.count x fleet.workers.concurrency x "
            f"fleet.sandbox.memory_mebibytes) need {needed}: choose a larger type, or lower one of those three",
            ("workers.count", "workers.concurrency", "sandbox.memory_mebibytes", "database.memory_mebibytes"),
        )


def architecture_of_host(settings: Settings) -> str:
    """`amd64` or `arm64`, by the instance type; only asked where that one is in order."""
    found: str | None = component_module("aws/instance_families").architecture_of(settings.host.instance_type)
    return found or "amd64"
