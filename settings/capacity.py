"""What the pools of a team need at their most, and the quotas that follow from it. Pure arithmetic."""

import math
from collections.abc import Iterable

from settings.cluster_model import AgentType, PodLimits, Pool, Quota, Team
from settings.model import Settings

SURGE_DIVISOR = 4
"""A rolling update may have a quarter more pods for a while, rounded up: Kubernetes' own default."""

_MESH_SERVICES = 2
"""What Istio's routing adds to a team's Services: `agents`, and that of the waypoint."""
_WAYPOINT_REQUESTS, _WAYPOINT_LIMITS = (0.1, 128), (2, 1_024)
"""CPUs and mebibytes of the waypoint's pod: Istio's own defaults."""

_NODES, _IMAGE_POD_CPUS, _IMAGE_POD_MEBIBYTES, _DATABASE_CPUS = 200, 0.05, 64, 2

_REDIS_CPUS, _REDIS_MEBIBYTES = 0.5, 64


def pods(count: int) -> int:
    """So many pods, and those that a rolling update adds."""
    return count + math.ceil(count / SURGE_DIVISOR)


def pools_need(settings: Settings, team: Team) -> Quota:
    """What the pools of a team take in their namespace, each at its maximum."""
    pools = [(settings.agent_types[name], pool) for name, pool in team.pools.items() if name in settings.agent_types]
    waypoints = 0 if settings.platform.istio == "off" else pods(1)
    (least_cpus, least_memory), (most_cpus, most_memory) = _WAYPOINT_REQUESTS, _WAYPOINT_LIMITS
    return Quota(
        requests_cpus=_cpus(
            [(waypoints, least_cpus), *((pods(pool.maximum), kind.requests.cpus) for kind, pool in pools)]
        ),
        requests_memory_mebibytes=waypoints * least_memory
        + sum(pods(pool.maximum) * kind.requests.memory_mebibytes for kind, pool in pools),
        limits_cpus=_cpus([(waypoints, most_cpus), *((pods(pool.maximum), kind.limits.cpus) for kind, pool in pools)]),
        limits_memory_mebibytes=waypoints * most_memory
        + sum(pods(pool.maximum) * kind.limits.memory_mebibytes for kind, pool in pools),
        persistent_volume_claims=1 if settings.workspace.enabled else 0,
        services=len(team.pools) + (_MESH_SERVICES if waypoints else 0),
    )


def sandboxes_need(settings: Settings, team: Team) -> Quota:
    """What the sandboxes of a team take in theirs. They are promised what they may use."""
    pools: list[tuple[AgentType, Pool]] = [
        (settings.agent_types[name], pool) for name, pool in team.pools.items() if name in settings.agent_types
    ]
    cpus = _cpus((pods(pool.sandboxes), kind.sandbox.cpus) for kind, pool in pools)
    memory = sum(pods(pool.sandboxes) * kind.sandbox.memory_mebibytes for kind, pool in pools)
    return Quota(
        requests_cpus=cpus,
        requests_memory_mebibytes=memory,
        limits_cpus=cpus,
        limits_memory_mebibytes=memory,
        persistent_volume_claims=0,
        services=0,
    )


def pools_quota(settings: Settings, team: Team) -> Quota:
    """The quota of the pools' namespace: the one given, or H8's, or what the pools need where that is more."""
    return team.quota or _at_least(Quota(), pools_need(settings, team))


def sandboxes_quota(settings: Settings, team: Team) -> Quota:
    """The quota of the sandboxes' namespace. It holds no claim and no Service unless one is given."""
    without_objects = Quota(persistent_volume_claims=0, services=0)
    return team.sandbox_quota or _at_least(without_objects, sandboxes_need(settings, team))


def system_quota(settings: Settings) -> Quota:
    """The quota of the fleet's own namespace: API, database, Redis where that is the doorbell, and a small pod on every
    node for the images."""
    api, redis = PodLimits(), int(settings.doorbell.kind == "redis")
    needed = Quota.model_construct(
        requests_cpus=_cpus(
            [
                (pods(settings.api.replicas), api.cpus),
                (_NODES, _IMAGE_POD_CPUS),
                (1, _DATABASE_CPUS),
                (redis, _REDIS_CPUS),
            ]
        ),
        requests_memory_mebibytes=pods(settings.api.replicas) * api.memory_mebibytes
        + _NODES * _IMAGE_POD_MEBIBYTES
        + settings.database.memory_mebibytes
        + redis * _REDIS_MEBIBYTES,
        persistent_volume_claims=1,
        services=3 + 2 * redis,
    )
    needed = needed.model_copy(
        update={
            "limits_cpus": needed.requests_cpus,
            "limits_memory_mebibytes": needed.requests_memory_mebibytes,
        }
    )
    return _at_least(Quota(), needed)


def too_small(given: Quota, needed: Quota) -> Iterable[tuple[str, float, float]]:
    """Each figure of a quota that is under what is needed: its name, what was given and what is needed."""
    for name in Quota.model_fields:
        has, wants = getattr(given, name), getattr(needed, name)
        if has < wants:
            yield name, has, wants


def _at_least(floor: Quota, needed: Quota) -> Quota:
    return Quota.model_construct(
        **{name: max(getattr(floor, name), getattr(needed, name)) for name in Quota.model_fields}
    )


def _cpus(parts: Iterable[tuple[int, float]]) -> float:
    # In thousandths, the smallest amount that Kubernetes knows: floats would add up to 0.30000000000000004.
    return sum(count * round(cpus * 1_000) for count, cpus in parts) / 1_000
