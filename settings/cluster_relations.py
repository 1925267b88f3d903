"""What one setting of a cluster means for another: pools, agent types, quotas and how long a job may take."""

from collections.abc import Iterator

from settings.capacity import pools_need, sandboxes_need, too_small
from settings.cluster_model import Pool, Team
from settings.model import Settings
from settings.violation import Violation

LONGEST_NAMESPACE = 63
GRACE_MARGIN_SECONDS = 60
"""What a pod takes to stop on top of its longest job: to leave the Service, hand back its jobs and end its sandboxes.
The components' own margins are not above it."""


def pool_violations(settings: Settings) -> Iterator[Violation]:
    """Every contradiction within a pool, and between a team's pools and the agent types."""
    if not settings.teams:
        yield Violation("teams", "no team given; a cluster needs at least one team with one pool")
    for team_name, team in settings.teams.items():
        yield from _team_violations(settings, f"teams.{team_name}", team)
    yield from _ambiguous_templates(settings)
    total = sum(pool.maximum * pool.concurrency for team in settings.teams.values() for pool in team.pools.values())
    limit = settings.limits.max_concurrent_agents
    if total > limit:
        yield Violation(
            "limits.max_concurrent_agents",
            f"given {limit}; the pools at their maximum run {total} jobs at once (maximum x concurrency, summed over "
            f"all teams): allowed from {total}, or lower the pools' maximum or concurrency",
            ("teams",),
        )


def _ambiguous_templates(settings: Settings) -> Iterator[Violation]:
    seen: dict[str, str] = {}
    for team_name, team in settings.teams.items():
        for agent_type in team.pools:
            here, template = f"teams.{team_name}.pools.{agent_type}", f"{team_name}-{agent_type}"
            if template in seen:
                yield Violation(
                    here,
                    f"its jobs would be called {template}, as those of fleet.{seen[template]}, and each would run the "
                    "other's: give one of the teams or agent types another name",
                    (seen[template],),
                )
            seen.setdefault(template, here)


def _team_violations(settings: Settings, path: str, team: Team) -> Iterator[Violation]:
    known = ", ".join(settings.agent_types)
    for name, pool in team.pools.items():
        here = f"{path}.pools.{name}"
        if name not in settings.agent_types:
            yield Violation(
                here,
                f"there is no agent type {name}; allowed: {known}, or add it to fleet.agent_types",
                ("agent_types",),
            )
        yield from _bounds(settings, here, pool)
        needed = pool.maximum * (pool.concurrency + pool.warm)
        if pool.sandboxes < needed:
            yield Violation(
                f"{here}.sandboxes",
                f"given {pool.sandboxes}; maximum x (concurrency + warm) = {pool.maximum} x ({pool.concurrency} + "
                f"{pool.warm}) sandboxes are claimed at once: allowed from {needed}, or lower one of those three",
                tuple(f"{here}.{key}" for key in ("maximum", "concurrency", "warm")),
            )
    if team.default_pool is not None and team.default_pool not in team.pools:
        yield Violation(
            f"{path}.default_pool",
            f'given "{team.default_pool}", which the team has no pool of; allowed: {", ".join(team.pools)}',
            (f"{path}.pools",),
        )


def _bounds(settings: Settings, here: str, pool: Pool) -> Iterator[Violation]:
    if pool.minimum > pool.maximum:
        yield Violation(
            f"{here}.minimum",
            f"given {pool.minimum}, above {here_key(here)}.maximum, which is {pool.maximum}: lower the first or raise "
            "the second",
            (f"{here}.maximum",),
        )
    elif pool.autoscaler == "none" and pool.minimum != pool.maximum:
        yield Violation(
            f"{here}.autoscaler",
            f"given none, so that the number of pods never changes, but minimum is {pool.minimum} and maximum "
            f"{pool.maximum}: give both the same number, or choose hpa or keda",
            (f"{here}.minimum", f"{here}.maximum"),
        )
    if pool.minimum == 0 and pool.autoscaler != "keda":
        yield Violation(
            f"{here}.minimum",
            f"given 0 with the autoscaler {pool.autoscaler}; only keda starts a pool that has no pod: allowed from 1, "
            "or choose keda",
            (f"{here}.autoscaler",),
        )
    if pool.autoscaler == "keda" and settings.platform.keda == "off":
        yield Violation(
            f"{here}.autoscaler",
            "given keda, and fleet.platform.keda is off: set that to install (or exists, if the cluster has KEDA), or "
            "choose hpa or none",
            ("platform.keda",),
        )
    if pool.autoscaler == "hpa" and settings.platform.metrics_server == "off":
        yield Violation(
            f"{here}.autoscaler",
            "given hpa, and fleet.platform.metrics_server is off, without which it sees no load: set that to exists, "
            "or choose keda or none",
            ("platform.metrics_server",),
        )


def agent_type_violations(settings: Settings) -> Iterator[Violation]:
    """Every agent type whose figures contradict themselves or the limits of one container."""
    limits = settings.container_limits
    for low, high in (
        ("minimum_cpus", "maximum_cpus"),
        ("minimum_memory_mebibytes", "maximum_memory_mebibytes"),
    ):
        if getattr(limits, low) > getattr(limits, high):
            yield Violation(
                f"container_limits.{low}",
                f"given {getattr(limits, low)}, above fleet.container_limits.{high}, which is "
                f"{getattr(limits, high)}: lower the first or raise the second",
                (f"container_limits.{high}",),
            )
    for name, kind in settings.agent_types.items():
        here = f"agent_types.{name}"
        for key in ("cpus", "memory_mebibytes"):
            request, limit = getattr(kind.requests, key), getattr(kind.limits, key)
            if request > limit:
                yield Violation(
                    f"{here}.limits.{key}",
                    f"given {limit}, under {here_key(here)}.requests.{key}, which is {request}: raise the first or "
                    "lower the second",
                    (f"{here}.requests.{key}",),
                )
            low, high = getattr(limits, f"minimum_{key}"), getattr(limits, f"maximum_{key}")
            if request < 2 * low:
                yield Violation(
                    f"{here}.requests.{key}",
                    f"given {request}; each of a pod's two containers gets half of it, and "
                    f"fleet.container_limits.minimum_{key} is {low}: allowed from {2 * low:g}",
                    (f"container_limits.minimum_{key}",),
                )
            if limit > 2 * high:
                yield Violation(
                    f"{here}.limits.{key}",
                    f"given {limit}; each of a pod's two containers gets half of it, and "
                    f"fleet.container_limits.maximum_{key} is {high}: allowed up to {2 * high:g}",
                    (f"container_limits.maximum_{key}",),
                )
            most = getattr(limits, f"maximum_sandbox_{key}")
            if getattr(kind.sandbox, key) > most:
                yield Violation(
                    f"{here}.sandbox.{key}",
                    f"given {getattr(kind.sandbox, key)}; fleet.container_limits.maximum_sandbox_{key} is {most}: "
                    "lower the first or raise the second",
                    (f"container_limits.maximum_sandbox_{key}",),
                )
        sandbox = kind.sandbox
        if sandbox.scratch_mebibytes > sandbox.memory_mebibytes // 2:
            yield Violation(
                f"{here}.sandbox.scratch_mebibytes",
                f"given {sandbox.scratch_mebibytes}; scratch space is memory, and at most half of the sandbox's "
                f"memory_mebibytes, which is {sandbox.memory_mebibytes}: allowed up to "
                f"{sandbox.memory_mebibytes // 2}",
                (f"{here}.sandbox.memory_mebibytes",),
            )


def quota_violations(settings: Settings) -> Iterator[Violation]:
    """Every quota that its pools at their maximum, a rolling update included, would not fit."""
    for name, team in settings.teams.items():
        for key, given, needed, what in (
            ("quota", team.quota, pools_need(settings, team), "pools at their maximum"),
            ("sandbox_quota", team.sandbox_quota, sandboxes_need(settings, team), "sandboxes"),
        ):
            for figure, has, wants in too_small(given, needed) if given is not None else ():
                yield Violation(
                    f"teams.{name}.{key}.{figure}",
                    f"given {has:g}; the team's {what}, with those that a rolling update adds, need {wants:g}: "
                    f"allowed from {wants:g}, or lower the pools",
                    (f"teams.{name}.pools", "agent_types", "workspace.enabled"),
                )


def time_violations(settings: Settings) -> Iterator[Violation]:
    """A job that may run longer than a pod may take to stop would be killed at every update."""
    longest, grace = settings.limits.task_timeout_seconds, settings.cluster.longest_grace_seconds
    if longest + GRACE_MARGIN_SECONDS > grace:
        yield Violation(
            "limits.task_timeout_seconds",
            f"given {longest}; with {GRACE_MARGIN_SECONDS} s to stop that is more than "
            f"fleet.cluster.longest_grace_seconds, which is {grace}: allowed up to {grace - GRACE_MARGIN_SECONDS}, or "
            "raise the second if the cluster lets a pod take so long",
            ("cluster.longest_grace_seconds",),
        )


def here_key(path: str) -> str:
    """The path as the user writes it."""
    return f"fleet.{path}"


def name_violations(fleet: str, settings: Settings) -> Iterator[Violation]:
    """Teams whose namespaces would have longer names than Kubernetes takes, or the same."""
    longest = LONGEST_NAMESPACE - len(fleet) - len("--sandboxes")
    for name in settings.teams:
        if len(name) > longest:
            yield Violation(
                f"teams.{name}",
                f"the namespace {fleet}-{name}-sandboxes would have {len(fleet) + len(name) + len('--sandboxes')} "
                f"characters, and {LONGEST_NAMESPACE} are the most: give the team a name of up to {longest}, or the "
                "stack a shorter one",
            )
        if name.endswith("-sandboxes") and name.removesuffix("-sandboxes") in settings.teams:
            other = name.removesuffix("-sandboxes")
            yield Violation(
                f"teams.{name}",
                f"its namespace {fleet}-{name} is that of the sandboxes of the team {other}: give one of the two "
                "another name",
                (f"teams.{other}",),
            )
