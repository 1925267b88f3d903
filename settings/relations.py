"""What one setting means for another: conditions that no single range can state, each with the keys it reads."""

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from settings.access_relations import database_violations, exposure_violations, host_image_violations, image_violations
from settings.agent_relations import agent_violations, agent_warnings
from settings.budget_relations import budget_violations
from settings.cluster_relations import agent_type_violations, pool_violations, quota_violations, time_violations
from settings.doorbell_relations import doorbell_violations
from settings.egress_relations import egress_violations
from settings.eks_relations import (
    ending_support,
    network_violations,
    node_violations,
    queue_violations,
    version_violations,
)
from settings.host_relations import (
    address_violations,
    entrance_notices,
    entrance_violations,
    host_violations,
    zone_violations,
)
from settings.memory_relations import memory_violations
from settings.model import Settings
from settings.queue_relations import queue_architecture_notices, queue_architecture_violations
from settings.telemetry_relations import telemetry_violations
from settings.violation import Violation


@dataclass(frozen=True)
class Relation:
    """A condition between keys; `broken` gives the sentence that says what is wrong and how to put it right."""

    keys: tuple[str, ...]
    """Dotted, below `fleet`. The first is the one that the error is reported at."""
    broken: Callable[[Settings], str | None]
    architectures: tuple[str, ...] = ("vm", "queue", "cluster")
    """Those that it means something for."""


def _warm_within_maximum(settings: Settings) -> str | None:
    sandbox = settings.sandbox
    if sandbox.warm <= sandbox.maximum:
        return None
    return (
        f"given {sandbox.warm}; warm sandboxes count towards fleet.sandbox.maximum, which is {sandbox.maximum}: "
        "lower the first or raise the second"
    )


def _a_sandbox_for_every_job(settings: Settings) -> str | None:
    workers, maximum = settings.workers, settings.sandbox.maximum
    needed = workers.count * workers.concurrency
    if maximum >= needed:
        return None
    return (
        f"given {maximum}; fleet.workers.count x fleet.workers.concurrency = {workers.count} x {workers.concurrency} "
        f"jobs run at once, each in a sandbox of its own: allowed from {needed}, or lower one of those two"
    )


def _fleet_limit(settings: Settings) -> str | None:
    workers, limit = settings.workers, settings.limits.max_concurrent_agents
    jobs = workers.count * workers.concurrency
    if jobs <= limit:
        return None
    return (
        f"given {workers.concurrency}; times fleet.workers.count = {workers.count} that is {jobs} jobs at once, and "
        f"fleet.limits.max_concurrent_agents is {limit}: lower one of the first two or raise the limit"
    )


def _default_within_longest_timeout(settings: Settings) -> str | None:
    default, longest = settings.api.default_timeout_seconds, settings.limits.task_timeout_seconds
    if default <= longest:
        return None
    return (
        f"given {default}; no job may run longer than fleet.limits.task_timeout_seconds, which is {longest}: "
        "lower the first or raise the second"
    )


def _lease_survives_a_missed_renewal(settings: Settings) -> str | None:
    workers = settings.workers
    if workers.lease_seconds > 2 * workers.lease_renew_seconds:
        return None
    return (
        f"given {workers.lease_seconds}; it must be more than twice fleet.workers.lease_renew_seconds, which is "
        f"{workers.lease_renew_seconds}, or one late renewal gives a running job away: allowed from "
        f"{2 * workers.lease_renew_seconds + 1}"
    )


def _scratch_leaves_memory(settings: Settings) -> str | None:
    sandbox = settings.sandbox
    if sandbox.scratch_mebibytes <= sandbox.memory_mebibytes // 2:
        return None
    return (
        f"given {sandbox.scratch_mebibytes}; scratch space is memory, and at most half of "
        f"fleet.sandbox.memory_mebibytes, which is {sandbox.memory_mebibytes}, so that a job with full scratch space "
        f"can still run: allowed up to {sandbox.memory_mebibytes // 2}"
    )


def _one_source_of_images(settings: Settings) -> str | None:
    if settings.images.digests is None or "build" not in settings.images.model_fields_set:
        return None
    return "given as well as fleet.images.digests; images are built or taken by digest: leave one of the two out"


RELATIONS = (
    Relation(("sandbox.warm", "sandbox.maximum"), _warm_within_maximum, ("vm", "queue")),
    Relation(("sandbox.maximum", "workers.count", "workers.concurrency"), _a_sandbox_for_every_job, ("vm",)),
    Relation(("workers.concurrency", "workers.count", "limits.max_concurrent_agents"), _fleet_limit, ("vm",)),
    Relation(("api.default_timeout_seconds", "limits.task_timeout_seconds"), _default_within_longest_timeout),
    Relation(("workers.lease_seconds", "workers.lease_renew_seconds"), _lease_survives_a_missed_renewal),
    Relation(("sandbox.scratch_mebibytes", "sandbox.memory_mebibytes"), _scratch_leaves_memory, ("vm", "queue")),
    Relation(("images.build", "images.digests"), _one_source_of_images),
)


_CLUSTER = (
    pool_violations,
    agent_type_violations,
    memory_violations,
    quota_violations,
    time_violations,
    exposure_violations,
    image_violations,
    database_violations,
)
_EKS = (network_violations, node_violations, queue_violations)
_QUEUE = (entrance_violations, zone_violations, address_violations, queue_violations, queue_architecture_violations)


def contradictions(settings: Settings, today: date) -> Iterator[Violation]:
    """Every contradiction between settings, on that day."""
    for relation in RELATIONS:
        if settings.architecture in relation.architectures:
            sentence = relation.broken(settings)
            if sentence is not None:
                yield Violation(relation.keys[0], sentence, relation.keys[1:])
    yield from doorbell_violations(settings)
    yield from telemetry_violations(settings)
    yield from budget_violations(settings)
    if settings.architecture in ("vm", "queue"):
        yield from egress_violations(settings)
    if settings.architecture == "vm":
        yield from agent_violations(settings)
        yield from host_image_violations(settings)
        if settings.target == "ec2":
            yield from host_violations(settings)
    if settings.architecture == "queue":
        for check in _QUEUE:
            yield from check(settings)
    if settings.architecture == "cluster":
        for check in _CLUSTER:
            yield from check(settings)
        if settings.target == "eks":
            for check in _EKS:
                yield from check(settings)
            yield from version_violations(settings, today)


def notices(settings: Settings, today: date) -> tuple[str, ...]:
    """What is allowed but worth knowing before the stack is deployed, a sentence each."""
    if settings.architecture == "cluster":
        return tuple(_cluster_notices(settings, today))
    found = (*_host_notices(settings), *entrance_notices(settings))
    return (*found, *queue_architecture_notices(settings)) if settings.architecture == "queue" else found


def warnings(settings: Settings) -> tuple[str, ...]:
    """What gives up protection and was asked for, a sentence each; said at every preview and every update."""
    return tuple(agent_warnings(settings)) if settings.architecture == "vm" else ()


def _cluster_notices(settings: Settings, today: date) -> Iterator[str]:
    ending = ending_support(settings, today) if settings.target == "eks" else None
    if ending is not None:
        yield ending
    if settings.exposure.kind == "node_port":
        yield (
            f"fleet.exposure.kind is node_port: every node answers on port {settings.exposure.node_port} over plain "
            "HTTP, API keys included. Put a proxy with TLS before it, or choose ingress or gateway."
        )
    if settings.cluster.network_canary == "report":
        yield (
            "fleet.cluster.network_canary is report: sandboxes that reach the network run jobs all the same. It is "
            "for clusters that enforce no NetworkPolicy."
        )


def _host_notices(settings: Settings) -> Iterator[str]:
    drain, longest = settings.workers.drain_seconds, settings.limits.task_timeout_seconds
    if drain < longest:
        yield (
            f"fleet.workers.drain_seconds is {drain} and a job may take {longest} s "
            "(fleet.limits.task_timeout_seconds): when a worker is replaced, jobs that need longer are stopped and "
            "run again."
        )
    if settings.sandbox.runtime == "runsc" and settings.sandbox.egress.domains:
        yield (
            "fleet.sandbox.runtime is runsc, and fleet.sandbox.egress has domains: gVisor lets jobs open their socket "
            "to the proxy only where Docker knows runsc with `--host-uds=open` among its runtimeArgs."
        )
    if settings.target == "docker" and not ipaddress.ip_address(settings.api.bind_address).is_loopback:
        yield (
            f"fleet.api.bind_address is {settings.api.bind_address}: the API can be reached from the network over "
            "plain HTTP, API keys included. Put a proxy with TLS before it."
        )
