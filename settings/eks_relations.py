"""What one setting of an EKS cluster means for another: network, version, nodes. AWS says so after twenty minutes."""

import ipaddress
from collections.abc import Iterator
from datetime import date, timedelta

from settings.capacity import pods
from settings.component_tables import component_module
from settings.host_relations import zone_violations
from settings.model import Settings
from settings.violation import Violation

ENDING_SOON = timedelta(days=30)
_LARGEST_SERVICE_PREFIX, _SMALLEST_SERVICE_PREFIX = 12, 24
_RESERVED_PER_SUBNET = 5
"""Addresses of each subnet that AWS keeps."""
_GROUPS = ("system_nodes", "untrusted_on_demand", "untrusted_spot")


def version_violations(settings: Settings, today: date) -> Iterator[Violation]:
    """No version, or one that AWS no longer supports or that the components do not know."""
    given = settings.cluster.version
    versions = component_module("versions")
    if given is None:
        yield Violation(
            "cluster.version",
            f"not given, and a cluster on eks needs one; allowed: {', '.join(versions.DEPLOYABLE_VERSIONS)}, in quotes",
        )
        return
    problem: str | None = versions.version_problem(given, today)
    if problem is not None:
        yield Violation("cluster.version", f'given "{given}"; {problem.rstrip(".")}')


def ending_support(settings: Settings, today: date) -> str | None:
    """A sentence about a version whose support ends soon."""
    version = settings.cluster.version
    end: date | None = component_module("versions").END_OF_STANDARD_SUPPORT.get(version)
    if end is None or not today < end <= today + ENDING_SOON:
        return None
    return (
        f"fleet.cluster.version is {version}, which leaves EKS's standard support on {end.isoformat()}, in "
        f"{(end - today).days} days: plan the upgrade to the next version."
    )


def network_violations(settings: Settings) -> Iterator[Violation]:
    """Address ranges that are too small or overlap, and zones of another region."""
    aws = settings.aws
    yield from zone_violations(settings)
    vpc, services = ipaddress.IPv4Network(aws.cidr), ipaddress.IPv4Network(aws.service_cidr)
    if not services.is_private or not _LARGEST_SERVICE_PREFIX <= services.prefixlen <= _SMALLEST_SERVICE_PREFIX:
        yield Violation(
            "aws.service_cidr",
            f"given {aws.service_cidr}; allowed is a private range from /{_LARGEST_SERVICE_PREFIX} to "
            f"/{_SMALLEST_SERVICE_PREFIX}",
        )
    if vpc.overlaps(services):
        yield Violation(
            "aws.service_cidr",
            f"given {aws.service_cidr}, which overlaps with the VPC's addresses, fleet.aws.cidr {aws.cidr}: choose "
            "another private range for one of the two",
            ("aws.cidr",),
        )
    for number, client in enumerate(aws.api_client_cidrs):
        for key, other in (("cidr", vpc), ("service_cidr", services)):
            if ipaddress.IPv4Network(client).overlaps(other):
                yield Violation(
                    f"aws.api_client_cidrs[{number}]",
                    f"given {client}, which overlaps with fleet.aws.{key}, {other}: two networks with the same "
                    "addresses cannot reach each other; choose another range for the VPC",
                    (f"aws.{key}", "aws.api_client_cidrs"),
                )
    for number, client in enumerate(aws.public_endpoint_cidrs):
        if ipaddress.IPv4Network(client).prefixlen == 0:
            yield Violation(
                f"aws.public_endpoint_cidrs[{number}]",
                f"given {client}, the whole internet: give the networks that administrators come from, or none",
                ("aws.public_endpoint_cidrs",),
            )
    yield from _size_violations(settings)


def _size_violations(settings: Settings) -> Iterator[Violation]:
    aws = settings.aws
    try:
        plan = component_module("aws/subnets").plan_subnets(aws.cidr, len(aws.zones))
    except ValueError as error:
        yield Violation("aws.cidr", str(error).removeprefix("cidr: ").rstrip("."), ("aws.zones",))
        return
    available = sum(ipaddress.IPv4Network(each).num_addresses - _RESERVED_PER_SUBNET for each in plan.private)
    needed = sum(
        pods(pool.maximum) + pods(pool.sandboxes) for team in settings.teams.values() for pool in team.pools.values()
    ) + sum(group.maximum for name in _GROUPS if (group := getattr(aws, name)) is not None)
    if needed > available:
        yield Violation(
            "aws.cidr",
            f"given {aws.cidr}, whose private subnets have {available} addresses; the pools and sandboxes at their "
            f"maximum and the nodes need {needed}: choose a larger range (up to /16), or lower the pools",
            ("aws.zones", "teams", *(f"aws.{name}" for name in _GROUPS)),
        )


def node_violations(settings: Settings) -> Iterator[Violation]:
    """Groups whose bounds are the wrong way round, and sandboxes without a node to run on."""
    aws = settings.aws
    for name in _GROUPS:
        group = getattr(aws, name)
        if group is not None and not group.minimum <= group.desired <= group.maximum:
            yield Violation(
                f"aws.{name}.desired",
                f"given {group.desired} with minimum {group.minimum} and maximum {group.maximum}: allowed is minimum "
                "up to desired up to maximum",
                (f"aws.{name}.minimum", f"aws.{name}.maximum"),
            )
    if aws.untrusted_on_demand is None and aws.untrusted_spot is None and settings.platform.karpenter == "off":
        yield Violation(
            "aws.untrusted_on_demand",
            "given null, as is fleet.aws.untrusted_spot, and fleet.platform.karpenter is off: sandboxes would have no "
            "node; give one of the groups or set karpenter to install",
            ("aws.untrusted_spot", "platform.karpenter"),
        )
    if not aws.administrators:
        yield Violation(
            "aws.administrators",
            "none given, and nobody could enter the cluster, not even who made it: give the ARN of at least one IAM "
            "role",
        )
    installed = [name for name in ("istio", "keda", "karpenter") if getattr(settings.platform, name) == "install"]
    if aws.nat == "none" and installed:
        yield Violation(
            "aws.nat",
            f"given none, and fleet.platform.{installed[0]} is install, whose images the nodes pull from the internet: "
            "allowed are one and per_zone, or exists for what you installed from a registry of your own",
            tuple(f"platform.{name}" for name in installed),
        )


def queue_violations(settings: Settings) -> Iterator[Violation]:
    """A job that takes longer than its message is hidden would be run twice."""
    queue, longest = settings.aws.job_queue, settings.limits.task_timeout_seconds
    if queue is not None and queue.visibility_timeout_seconds < longest:
        yield Violation(
            "aws.job_queue.visibility_timeout_seconds",
            f"given {queue.visibility_timeout_seconds}; a job may take fleet.limits.task_timeout_seconds, which is "
            f"{longest}, and its message would be given out again: allowed from {longest}, or lower the second",
            ("limits.task_timeout_seconds",),
        )
