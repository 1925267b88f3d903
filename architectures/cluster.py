"""`cluster`: the fleet on Kubernetes, for many teams and for loads that one host does not bear (D3)."""

from dataclasses import dataclass

import pulumi
from agent_fleet import ImagePrepull, NodeAutoscaler, Platform, PlatformArgs

from architectures.cluster_system import FleetSystem, declare_system
from architectures.cluster_team import declare_team
from architectures.foundation import Foundation
from architectures.images import ClusterImages, cluster_images
from architectures.names import pools_namespace, sandboxes_namespace, system_namespace
from settings.model import Settings


@dataclass(frozen=True)
class Deployment:
    """What the stack's outputs are made of."""

    url: pulumi.Output[str]
    api_key: pulumi.Output[str]
    """The first team's, by name: for the first job."""
    api_keys: pulumi.Output[dict[str, str]]
    namespaces: list[str]
    others: dict[str, pulumi.Output[str]]


def deploy(fleet: str, settings: Settings) -> Deployment:
    """The cluster, then what runs beside the fleet, then the system, then a team after the other."""
    foundation = _foundation(fleet, settings)
    images = cluster_images(fleet, settings)
    platform = _platform(fleet, settings, foundation)
    on_cluster = pulumi.ResourceOptions(provider=foundation.provider, depends_on=[*foundation.ready, platform])
    if foundation.nodes_as_needed is not None:
        NodeAutoscaler(f"{fleet}-untrusted", foundation.nodes_as_needed, opts=on_cluster)
    system = declare_system(fleet, settings, foundation, images, on_cluster)
    for name, team in settings.teams.items():
        declare_team(fleet, name, team, settings, foundation, images, system, on_cluster)
    _prepull(fleet, settings, foundation, images, system, on_cluster)
    first = next(iter(settings.teams))
    return Deployment(
        url=system.api.url,
        api_key=system.api.api_keys.apply(lambda keys: keys[first]),
        api_keys=system.api.api_keys,
        namespaces=_namespaces(fleet, settings),
        others=foundation.outputs,
    )


def _foundation(fleet: str, settings: Settings) -> Foundation:
    """What the fleet stands on. Only the one that is used is imported: the AWS SDK alone costs 1.5 s."""
    if settings.target == "eks":
        from architectures.eks_foundation import stand_on_eks

        return stand_on_eks(fleet, settings)
    from architectures.existing_foundation import stand_on_existing

    return stand_on_existing(fleet, settings)


def _platform(fleet: str, settings: Settings, foundation: Foundation) -> Platform:
    chosen = settings.platform
    args: PlatformArgs = {"istio": chosen.istio, "keda": chosen.keda, "karpenter": chosen.karpenter}
    if chosen.istio == "install":
        args["istio_settings"] = {"mode": "ambient"}
    if chosen.karpenter == "install" and foundation.karpenter is not None:
        args["karpenter_settings"] = foundation.karpenter
    opts = pulumi.ResourceOptions(provider=foundation.provider, depends_on=[*foundation.ready])
    return Platform(f"{fleet}-platform", args, opts=opts)


def _prepull(
    fleet: str,
    settings: Settings,
    foundation: Foundation,
    images: ClusterImages,
    system: FleetSystem,
    on_cluster: pulumi.ResourceOptions,
) -> None:
    """Images on every node before a pod needs them (D9)."""
    used = {name for team in settings.teams.values() for name in team.pools}
    of_types = {image for name in used if (image := settings.agent_types[name].sandbox.image) is not None}
    ImagePrepull(
        f"{fleet}-images",
        {
            "fleet": fleet,
            "namespace": system.namespace,
            "images": [images.runtime, images.sandbox, *sorted(of_types)],
            "tolerate_untrusted": foundation.untrusted_nodes,
            "image_pull_policy": images.pull_policy,
        },
        opts=on_cluster,
    )


def _namespaces(fleet: str, settings: Settings) -> list[str]:
    return [
        system_namespace(fleet),
        *(space(fleet, team) for team in settings.teams for space in (pools_namespace, sandboxes_namespace)),
    ]
