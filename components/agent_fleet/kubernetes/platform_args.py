"""What a `Platform` is given, field by field, with its defaults."""

from typing import NotRequired, TypedDict

import pulumi


class IstioArgs(TypedDict, total=False):
    """Istio."""

    mode: str
    """`ambient` (the default) or `istio-cni`."""
    repository: str
    """Where the charts are. Default: Istio's own."""
    registry: str
    """Where its images are. Default: Istio's own."""
    cni_binary_directory: str
    """Where the nodes' CNI programs are. Default `/opt/cni/bin`."""
    cni_configuration_directory: str
    """Where the nodes' CNI configuration is. Default `/etc/cni/net.d`."""


class KedaArgs(TypedDict, total=False):
    """KEDA."""

    repository: str
    """Where the chart is. Default: KEDA's own."""
    registry: str
    """Where its images are. Default: KEDA's own."""


class KarpenterArgs(TypedDict):
    """Karpenter."""

    cluster_name: pulumi.Input[str]
    """The EKS cluster."""
    interruption_queue: pulumi.Input[str]
    """The SQS queue with spot interruptions: without it a spot node ends with no warning."""
    namespace: NotRequired[str]
    """Its namespace: the one that its pod identity is bound to. Default `kube-system`."""
    service_account: NotRequired[str]
    """Its service account, likewise. Default `karpenter`."""
    repository: NotRequired[str]
    """Where the charts are. Default: Karpenter's own."""
    isolated_vpc: NotRequired[bool]
    """Whether the VPC reaches only those AWS services that have an endpoint in it. Prices are then those that came
    with the release. Default: no."""


class PlatformArgs(TypedDict):
    """What a cluster needs beside the fleet: each part is installed, exists already, or is left out."""

    istio: NotRequired[str]
    """`install`, `exists` or `off` (the default)."""
    istio_settings: NotRequired[IstioArgs]
    """How Istio is installed."""
    keda: NotRequired[str]
    """`install`, `exists` or `off` (the default)."""
    keda_settings: NotRequired[KedaArgs]
    """How KEDA is installed."""
    karpenter: NotRequired[str]
    """`install`, `exists` or `off` (the default)."""
    karpenter_settings: NotRequired[KarpenterArgs]
    """How Karpenter is installed. Needed with `install`."""
    timeout_seconds: NotRequired[int]
    """How long one release may take to become ready before it is rolled back. Default 600."""
