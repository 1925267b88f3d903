"""Sandboxes that agent-sandbox keeps: its SandboxTemplate, and a SandboxWarmPool of what waits.

Read for v0.5.6 of https://github.com/kubernetes-sigs/agent-sandbox, `extensions.agents.x-k8s.io/v1beta1`.
"""

import math
from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.kubernetes.object_labels import metadata
from agent_fleet.kubernetes.sandbox_pod import sandbox_pod
from agent_fleet.kubernetes.sandbox_pool_args import SandboxPoolArgs

API_VERSION = "extensions.agents.x-k8s.io/v1beta1"
WAITING_DIVISOR = 4
"""A quarter waits unclaimed: as many as the namespace's quota has room for beside all that may be claimed, since a
Deployment's rolling update may have a quarter more."""


def waiting(replicas: int) -> int:
    """How many sandboxes wait unclaimed where so many may be claimed."""
    return math.ceil(replicas / WAITING_DIVISOR)


def undisturbed(replicas: int) -> int:
    """How many ready pods an eviction must leave.

    A number, not the share of a Deployment's: a Sandbox has no scale, and a budget that says a share of pods without
    one forbids every eviction.
    """
    return waiting(replicas) - math.ceil(waiting(replicas) / 4)


def declare_warm_pool(
    name: str, args: SandboxPoolArgs, labels: Mapping[str, str], opts: pulumi.ResourceOptions
) -> k8s.apiextensions.CustomResource:
    """Declare both, and return the pool."""
    pool, namespace = args["pool"], args["namespace"]
    template = k8s.apiextensions.CustomResource(
        f"{name}-template",
        api_version=API_VERSION,
        kind="SandboxTemplate",
        metadata=metadata(pool, namespace, labels),
        spec={
            "podTemplate": {
                "metadata": {"labels": dict(labels)},
                # A container that has ended must not come up again beside what the one before has left.
                "spec": sandbox_pod(args, restart_policy="Never"),
            },
            "service": False,
            # Its own policy would let the sandboxes reach the public internet, and policies add up.
            "networkPolicyManagement": "Unmanaged",
            "envVarsInjectionPolicy": "Disallowed",
            "volumeClaimTemplatesPolicy": "Disallowed",
        },
        opts=opts,
    )
    return k8s.apiextensions.CustomResource(
        name,
        api_version=API_VERSION,
        kind="SandboxWarmPool",
        metadata=metadata(pool, namespace, labels),
        spec={
            "replicas": pulumi.Output.from_input(args["replicas"]).apply(waiting),
            "sandboxTemplateRef": {"name": pool},
            # What waits with an image that was replaced is not used any more; what is claimed ends its job.
            "updateStrategy": {"type": "Recreate"},
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[template])),
    )
