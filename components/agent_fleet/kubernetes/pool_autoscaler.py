"""How many replicas a pool has: by CPU and memory, or by the jobs that wait and run."""

import re
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.autoscaler_args import (
    DatabaseSecretArgs,
    PoolAutoscalerArgs,
    QueueScalingArgs,
    SandboxScalingArgs,
)
from agent_fleet.kubernetes.object_labels import metadata, object_labels
from agent_fleet.kubernetes.scaling_behavior import pool_behavior, sandbox_behavior

HPA = "hpa"
KEDA = "keda"
KINDS = (HPA, KEDA)
ROLE = "autoscaler"
DATABASE_KEY = "FLEET_DATABASE_URL"
FAILED_COUNTS = 3
"""How often in a row the jobs cannot be counted before the fallback holds."""
QUERY = (
    "SELECT coalesce((SELECT jobs FROM jobs_to_begin WHERE template = '{template}'), 0)"
    " + (SELECT count(*) FROM jobs WHERE template = '{template}' AND status = 'running')"
)
"""Jobs that could begin or run. Running ones count, or a pool would shrink under its longest jobs. Those that a
tenant's budget keeps waiting do not: no worker may take them. Of ended jobs neither part reads anything."""

_TEMPLATE = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?")


class PoolAutoscaler(pulumi.ComponentResource):
    """An autoscaler of one pool, and of its sandboxes where that is asked for."""

    kind: pulumi.Output[str]
    """`hpa` or `keda`."""

    def __init__(self, name: str, args: PoolAutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the autoscaler; see `PoolAutoscalerArgs`. Raises ValueError if the figures contradict themselves."""
        super().__init__("agent-fleet:index:PoolAutoscaler", name, {}, opts)
        kind = args.get("kind", HPA)
        _check_kind(kind, args)
        minimum, maximum = args.get("minimum", 2), args.get("maximum", 10)
        _check_bounds("minimum", minimum, "maximum", maximum, lowest=0 if kind == KEDA else 1)
        pool = args.get("pool", name)
        labels = object_labels(args["fleet"], ROLE, team=args.get("team"), pool=pool)
        sandboxes = args.get("sandboxes")
        if sandboxes is not None:
            _check_bounds("sandboxes.minimum", sandboxes["minimum"], "sandboxes.maximum", sandboxes["maximum"], 1)
        if kind == HPA:
            metrics = [("cpu", args.get("cpu_percent", 70)), ("memory", args.get("memory_percent", 80))]
            self._hpa(name, pool, args["namespace"], args["deployment"], minimum, maximum, metrics, labels)
            if sandboxes is not None:
                # Not by memory: a sandbox that waits with its interpreters loaded holds most of what a busy one does.
                self._hpa(
                    f"{name}-sandboxes",
                    pool,
                    sandboxes["namespace"],
                    sandboxes["deployment"],
                    sandboxes["minimum"],
                    sandboxes["maximum"],
                    [("cpu", sandboxes.get("cpu_percent", 50))],
                    labels,
                    behavior=sandbox_behavior(),
                )
        else:
            self._keda(name, pool, args, minimum, maximum, labels)
        self.kind = pulumi.Output.from_input(kind)
        self.register_outputs({"kind": self.kind})

    def _hpa(
        self,
        name: str,
        pool: str,
        namespace: pulumi.Input[str],
        deployment: pulumi.Input[str],
        minimum: int,
        maximum: int,
        metrics: list[tuple[str, int]],
        labels: dict[str, str],
        behavior: dict[str, Any] | None = None,
    ) -> None:
        for resource, percent in metrics:
            if not 1 <= percent <= 1000:
                raise ValueError(
                    f"{resource}_percent is {percent}; it is a share of what a pod requests, from 1 to 1000 percent."
                )
        k8s.autoscaling.v2.HorizontalPodAutoscaler(
            name,
            metadata=metadata(pool, namespace, labels),
            spec={
                "scale_target_ref": {"api_version": "apps/v1", "kind": "Deployment", "name": deployment},
                "min_replicas": minimum,
                "max_replicas": maximum,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": resource,
                            "target": {"type": "Utilization", "average_utilization": percent},
                        },
                    }
                    for resource, percent in metrics
                ],
                "behavior": _snake_case(behavior or pool_behavior()),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _keda(
        self,
        name: str,
        pool: str,
        args: PoolAutoscalerArgs,
        minimum: int,
        maximum: int,
        labels: dict[str, str],
    ) -> None:
        queue = _queue(args)
        self._scaled_object(
            name,
            pool,
            (args["namespace"], args["deployment"], queue["database_secret"]),
            queue,
            (minimum, maximum, queue.get("jobs_per_replica", 4)),
            pool_behavior(),
            labels,
        )
        sandboxes = args.get("sandboxes")
        if sandboxes is not None:
            self._scaled_object(
                f"{name}-sandboxes",
                pool,
                (sandboxes["namespace"], sandboxes["deployment"], _sandboxes_secret(sandboxes)),
                queue,
                (sandboxes["minimum"], sandboxes["maximum"], 1),
                sandbox_behavior(),
                labels,
            )

    def _scaled_object(
        self,
        name: str,
        pool: str,
        target: tuple[pulumi.Input[str], pulumi.Input[str], DatabaseSecretArgs],
        queue: QueueScalingArgs,
        figures: tuple[int, int, int],
        behavior: dict[str, Any],
        labels: dict[str, str],
    ) -> None:
        namespace, deployment, secret = target
        minimum, maximum, jobs_per_replica = figures
        authentication = k8s.apiextensions.CustomResource(
            f"{name}-database",
            api_version="keda.sh/v1alpha1",
            kind="TriggerAuthentication",
            metadata=metadata(f"{pool}-jobs", namespace, labels),
            spec={
                "secretTargetRef": [
                    {"parameter": "connection", "name": secret["name"], "key": secret.get("key", DATABASE_KEY)}
                ]
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        k8s.apiextensions.CustomResource(
            name,
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata=metadata(pool, namespace, labels),
            spec={
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
                "minReplicaCount": minimum,
                "maxReplicaCount": maximum,
                "pollingInterval": queue.get("polling_seconds", 15),
                "cooldownPeriod": queue.get("cooldown_seconds", 300),
                # While the database is away nothing is known of the jobs, so nothing that runs is taken away.
                "fallback": {
                    "failureThreshold": FAILED_COUNTS,
                    "replicas": max(1, minimum),
                    "behavior": "currentReplicasIfHigher",
                },
                "advanced": {
                    "restoreToOriginalReplicaCount": False,
                    "horizontalPodAutoscalerConfig": {"name": pool, "behavior": behavior},
                },
                "triggers": [
                    {
                        "type": "postgresql",
                        "name": "jobs",
                        "metricType": "AverageValue",
                        "metadata": {
                            "query": QUERY.format(template=queue["template"]),
                            "targetQueryValue": str(jobs_per_replica),
                            "activationTargetQueryValue": "0",
                        },
                        "authenticationRef": {"name": f"{pool}-jobs"},
                    }
                ],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[authentication]),
        )


def _check_kind(kind: str, args: PoolAutoscalerArgs) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; an autoscaler is one of: {', '.join(KINDS)}.")
    if kind == KEDA:
        _queue(args)


def _queue(args: PoolAutoscalerArgs) -> QueueScalingArgs:
    queue = args.get("keda")
    if queue is None:
        raise ValueError(
            "kind is 'keda' and keda is not given; say in keda.database_secret and keda.template which jobs to count, "
            "or choose the kind 'hpa'."
        )
    if not _TEMPLATE.fullmatch(queue["template"]):
        raise ValueError(
            f"keda.template is {queue['template']!r}; it stands in a query, so it is small letters, digits and hyphens."
        )
    for field, default in (("jobs_per_replica", 4), ("polling_seconds", 15), ("cooldown_seconds", 300)):
        given = queue.get(field, default)
        if not isinstance(given, int) or given < 1:
            raise ValueError(f"keda.{field} is {given}; it is a whole number from 1 on.")
    return queue


def _sandboxes_secret(sandboxes: SandboxScalingArgs) -> DatabaseSecretArgs:
    secret = sandboxes.get("database_secret")
    if secret is None:
        raise ValueError(
            "sandboxes is given to an autoscaler of kind 'keda' without sandboxes.database_secret; KEDA reads the "
            "connection from a Secret in the sandboxes' own namespace only."
        )
    return secret


def _check_bounds(minimum_field: str, minimum: int, maximum_field: str, maximum: int, lowest: int) -> None:
    if minimum < lowest:
        advice = " A pool that goes down to none needs the kind 'keda'." if lowest == 1 else ""
        raise ValueError(f"{minimum_field} is {minimum}; it is at least {lowest}.{advice}")
    if maximum < 1:
        raise ValueError(f"{maximum_field} is {maximum}; it is at least 1.")
    if maximum < minimum:
        raise ValueError(
            f"{minimum_field} is {minimum} and {maximum_field} is {maximum}; the minimum is at most the maximum. "
            f"Lower {minimum_field} or raise {maximum_field}."
        )


def _snake_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", key): _snake_case(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_snake_case(each) for each in value]
    return value
