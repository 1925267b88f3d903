"""Every version that the fleet names, in one file: nothing below defaults one silently.

Builds that newer Kubernetes versions need come out every few weeks. List what a cluster may take by
`aws eks describe-addon-versions --kubernetes-version <version> --addon-name <name>`, and change the table here.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

# --- Kubernetes on EKS ------------------------------------------------------------------------------------------------

END_OF_STANDARD_SUPPORT: Mapping[str, date] = MappingProxyType(
    {
        "1.32": date(2026, 3, 23),
        "1.33": date(2026, 7, 29),
        "1.34": date(2026, 12, 2),
        "1.35": date(2027, 3, 27),
        "1.36": date(2027, 8, 2),
    }
)
"""When each version leaves standard support; from that day on it costs six times as much, and with the upgrade policy
STANDARD the control plane is upgraded without being asked.

https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html, read in November 2026.
"""

# --- Add-ons of EKS ---------------------------------------------------------------------------------------------------

_SHARED_ADDONS = {
    "vpc-cni": "v1.22.4-eksbuild.3",
    "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
    "aws-efs-csi-driver": "v3.1.0-eksbuild.1",
    "metrics-server": "v0.9.0-eksbuild.5",
    "eks-node-monitoring-agent": "v1.6.4-eksbuild.1",
}
"""One build for all Kubernetes versions in ADDON_VERSIONS."""

ADDON_VERSIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "1.34": {
            **_SHARED_ADDONS,
            "aws-ebs-csi-driver": "v1.63.1-eksbuild.1",
            "coredns": "v1.13.2-eksbuild.24",
            "kube-proxy": "v1.34.0-eksbuild.5",
        },
        "1.35": {
            **_SHARED_ADDONS,
            "aws-ebs-csi-driver": "v1.63.1-eksbuild.1",
            "coredns": "v1.14.3-eksbuild.3",
            "kube-proxy": "v1.35.3-eksbuild.18",
        },
        "1.36": {
            **_SHARED_ADDONS,
            "aws-ebs-csi-driver": "v1.66.0-eksbuild.1",
            "coredns": "v1.14.3-eksbuild.23",
            "kube-proxy": "v1.36.0-eksbuild.25",
        },
    }
)
"""The add-ons of a cluster by its Kubernetes version. Builds seen in public configurations of clusters of that version
up to November 2026; AWS was not asked, so the first `pulumi up` of a new version is where a withdrawn build shows.
`ClusterArgs.addon_versions` overrides any of them."""

DEPLOYABLE_VERSIONS: tuple[str, ...] = tuple(ADDON_VERSIONS)
"""The Kubernetes versions that this release can deploy: those whose add-ons it knows."""


def addon_versions(kubernetes_version: str) -> Mapping[str, str]:
    """The add-ons of one Kubernetes version. Raises ValueError for a version that this release cannot deploy."""
    found = ADDON_VERSIONS.get(kubernetes_version)
    if found is None:
        raise ValueError(
            f"version: {kubernetes_version!r} was given; this release deploys {', '.join(DEPLOYABLE_VERSIONS)}."
        )
    return found


def version_problem(kubernetes_version: str, today: date) -> str | None:
    """Why a cluster of this version must not be deployed on that day, with what to take instead; None if it may be."""
    supported = [each for each in DEPLOYABLE_VERSIONS if END_OF_STANDARD_SUPPORT[each] > today]
    allowed = f"take one of {', '.join(supported)}" if supported else "upgrade agent-fleet, which knows no newer one"
    end = END_OF_STANDARD_SUPPORT.get(kubernetes_version)
    if end is None or kubernetes_version not in ADDON_VERSIONS:
        return f"{kubernetes_version!r} is no Kubernetes version that this release deploys on EKS; {allowed}."
    if end <= today:
        return f"Kubernetes {kubernetes_version} left EKS's standard support on {end.isoformat()}; {allowed}."
    return None


# --- Helm charts ------------------------------------------------------------------------------------------------------

ISTIO_VERSION = "1.31.1"
"""Charts base, istiod, cni and ztunnel of https://istio-release.storage.googleapis.com/charts."""
KEDA_VERSION = "2.20.2"
"""Chart keda of https://kedacore.github.io/charts; chart and program share their version."""
KARPENTER_VERSION = "1.14.1"
"""Charts karpenter-crd and karpenter of oci://public.ecr.aws/karpenter. It runs on Kubernetes up to 1.36."""
GATEWAY_API_VERSION = "1.5.0"
"""The definitions that a waypoint of Istio's ambient mode needs; no chart brings them."""

# --- Node images that Karpenter starts --------------------------------------------------------------------------------

NODE_IMAGE_ALIAS = "al2023@v20260903"
"""A release of https://github.com/awslabs/amazon-eks-ami/releases, for Kubernetes 1.33 to 1.36."""
