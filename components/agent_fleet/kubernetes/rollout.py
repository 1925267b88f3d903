"""Deployments of the fleet's own programs: replaced without a failed request, and never faster than their jobs end."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.inputs import applied, json_text
from agent_fleet.kubernetes.object_labels import metadata
from agent_fleet.kubernetes.pod import (
    PodSettings,
    configuration_data,
    grace_seconds,
    pod_template,
    secret_data,
)
from agent_fleet.workload import Workload

CONFIGURATION_HASH = "agent-fleet.configuration-hash"
PATCH_FORCE = "pulumi.com/patchForce"
READY_SECONDS = 600
"""How long a new pod may take to be ready, a pull of its image included, before the deployment fails."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where objects are declared, and as what."""

    resource_name: str
    """The Pulumi names start with it."""
    name: str
    """The objects' name in the namespace."""
    namespace: pulumi.Input[str]
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    """Of the labels those by which the pods are selected."""
    parent: pulumi.Resource


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What `roll_out` declared."""

    account: k8s.core.v1.ServiceAccount
    deployment: k8s.apps.v1.Deployment


def roll_out(
    workloads: Sequence[Workload],
    placement: Placement,
    *,
    replicas: pulumi.Input[int] | None,
    autoscaled: bool,
    pull_policy: str,
    after: Sequence[pulumi.Resource] = (),
) -> Rollout:
    """Declare a Deployment of pods with these workloads, and its account, configuration, secret and budget.

    With `autoscaled` the number of pods starts at `replicas` (None: one) and is the autoscaler's from then on. The
    Deployment is made after `after` and deleted before it.
    """
    name, inside = placement.name, pulumi.ResourceOptions(parent=placement.parent)
    described = metadata(name, placement.namespace, placement.labels)
    configuration, secrets = configuration_data(workloads), secret_data(workloads)
    account = k8s.core.v1.ServiceAccount(
        placement.resource_name, metadata=described, automount_service_account_token=False, opts=inside
    )
    config_map = k8s.core.v1.ConfigMap(placement.resource_name, metadata=described, data=configuration, opts=inside)
    secret = k8s.core.v1.Secret(placement.resource_name, metadata=described, type="Opaque", data=secrets, opts=inside)
    k8s.policy.v1.PodDisruptionBudget(
        placement.resource_name,
        metadata=described,
        spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(placement.selector)),
            # Pods that are not ready serve nobody, and would keep their nodes from ever being emptied.
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
        opts=inside,
    )
    template = pod_template(
        workloads,
        PodSettings(
            labels=placement.labels,
            selector=placement.selector,
            service_account=name,
            pull_policy=pull_policy,
            configuration=name,
            secrets=name,
            annotations={CONFIGURATION_HASH: configuration_hash({"configuration": configuration, "secrets": secrets})},
        ),
    )
    deployment = k8s.apps.v1.Deployment(
        placement.resource_name,
        # A fixed number is taken back from an autoscaler that is gone, which would otherwise own it for ever.
        metadata=metadata(name, placement.namespace, placement.labels, None if autoscaled else {PATCH_FORCE: "true"}),
        spec=k8s.apps.v1.DeploymentSpecArgs(
            replicas=replicas,
            revision_history_limit=3,
            progress_deadline_seconds=READY_SECONDS,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(placement.selector)),
            strategy=k8s.apps.v1.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge="25%"),
            ),
            template=template,
        ),
        opts=pulumi.ResourceOptions(
            parent=placement.parent,
            depends_on=[account, config_map, secret, *after],
            custom_timeouts=rollout_timeouts(grace_seconds(workloads)),
            # Left out instead, it would fall to one pod when a pool with a fixed number is given an autoscaler.
            ignore_changes=["spec.replicas"] if autoscaled else None,
        ),
    )
    return Rollout(account=account, deployment=deployment)


def rollout_timeouts(grace: int) -> pulumi.CustomTimeouts:
    """How long Pulumi waits for pods that may take `grace` seconds to stop.

    A deletion waits for all jobs, and a quota may let a new pod in only when an old one has ended its own.
    """
    return pulumi.CustomTimeouts(
        create=f"{READY_SECONDS}s", update=f"{grace + READY_SECONDS}s", delete=f"{grace + 120}s"
    )


def configuration_hash(configuration: object) -> pulumi.Input[str]:
    """Changes whenever the configuration does, so that pods are replaced then; says nothing about it."""

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    found = applied(json_text(configuration), digest)
    return found if isinstance(found, str) else pulumi.Output.unsecret(pulumi.Output.from_input(found))
