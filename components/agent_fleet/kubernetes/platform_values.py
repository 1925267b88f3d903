"""The values that the platform's Helm charts are given, typed: hardened where a chart's own defaults are not.

What the charts make of them is not checked by this project: only that the values are of these types and keys.
"""

from typing import Any, NotRequired, TypedDict

import pulumi

from agent_fleet.kubernetes.platform_args import IstioArgs, KarpenterArgs, KedaArgs

RUNTIME_DEFAULT = {"type": "RuntimeDefault"}


class QuantitiesValues(TypedDict):
    """CPU and memory."""

    cpu: NotRequired[str]
    memory: str


class ResourcesValues(TypedDict):
    """What a container takes. No CPU limit: a proxy or a controller that is throttled delays everything behind it."""

    requests: QuantitiesValues
    limits: QuantitiesValues


class BaseValues(TypedDict):
    """Chart `base`: Istio's definitions."""

    defaultRevision: str


class IstiodValues(TypedDict):
    """Chart `istiod`: the control plane."""

    profile: NotRequired[str]
    autoscaleMin: int
    autoscaleMax: int
    resources: ResourcesValues
    seccompProfile: dict[str, str]
    gateways: dict[str, Any]
    cni: dict[str, Any]
    meshConfig: dict[str, Any]
    # `global` is a word of Python's, which a class cannot have as a field; see `istiod_values`.


class CniValues(TypedDict):
    """Chart `cni`: what sets up a pod's traffic, so that no pod needs a capability for it."""

    profile: NotRequired[str]
    ambient: dict[str, Any]
    cniBinDir: str
    cniConfDir: str
    seccompProfile: dict[str, str]
    resources: ResourcesValues


class ZtunnelValues(TypedDict):
    """Chart `ztunnel`: the nodes' part of the ambient mesh."""

    variant: str
    resources: ResourcesValues
    hub: NotRequired[str]


class KedaValues(TypedDict):
    """Chart `keda`."""

    crds: dict[str, bool]
    operator: dict[str, Any]
    metricsServer: dict[str, Any]
    webhooks: dict[str, Any]
    podDisruptionBudget: dict[str, Any]
    image: dict[str, Any]
    rbac: dict[str, Any]
    resources: dict[str, ResourcesValues]


class KarpenterValues(TypedDict):
    """Chart `karpenter`."""

    replicas: int
    serviceAccount: dict[str, Any]
    settings: dict[str, Any]
    controller: dict[str, Any]
    podSecurityContext: dict[str, Any]


def base_values() -> BaseValues:
    """Istio's definitions."""
    return {"defaultRevision": "default"}


def istiod_values(settings: IstioArgs, *, ambient: bool) -> dict[str, Any]:
    """The control plane: two replicas, and seccomp for all that it starts, or `restricted` refuses a waypoint."""
    values: IstiodValues = {
        "autoscaleMin": 2,
        "autoscaleMax": 5,
        "resources": _resources("200m", "1Gi", "2Gi"),
        "seccompProfile": RUNTIME_DEFAULT,
        "gateways": {"seccompProfile": RUNTIME_DEFAULT},
        "cni": {"enabled": not ambient, "provider": "default"},
        "meshConfig": {
            # Pods start only once their side-car can carry traffic.
            "defaultConfig": {"holdApplicationUntilProxyStarts": not ambient},
            "meshMTLS": {"minProtocolVersion": "TLSV1_3"},
        },
    }
    if ambient:
        values["profile"] = "ambient"
    return {**values, "global": _istio_global(settings, {"proxy": {"seccompProfile": RUNTIME_DEFAULT}})}


def cni_values(settings: IstioArgs, *, ambient: bool) -> dict[str, Any]:
    """The nodes' agent."""
    values: CniValues = {
        "ambient": {"enabled": ambient},
        "cniBinDir": settings.get("cni_binary_directory", "/opt/cni/bin"),
        "cniConfDir": settings.get("cni_configuration_directory", "/etc/cni/net.d"),
        "seccompProfile": RUNTIME_DEFAULT,
        "resources": _resources("50m", "100Mi", "256Mi"),
    }
    if ambient:
        values["profile"] = "ambient"
    return {**values, "global": _istio_global(settings, {})}


def ztunnel_values(settings: IstioArgs) -> ZtunnelValues:
    """The nodes' proxy."""
    values: ZtunnelValues = {"variant": "distroless", "resources": _resources("100m", "256Mi", "1Gi")}
    if "registry" in settings:
        values["hub"] = settings["registry"]
    return values


def keda_values(settings: KedaArgs) -> KedaValues:
    """KEDA: two of each part, and a role that may scale what it is told to and read no Secret it is not pointed at."""
    image: dict[str, Any] = {"pullPolicy": "IfNotPresent"}
    if "registry" in settings:
        image |= {part: {"registry": settings["registry"]} for part in ("keda", "metricsApiServer", "webhooks")}
    return {
        "crds": {"install": True},
        "operator": {"replicaCount": 2},
        "metricsServer": {"replicaCount": 2},
        # Refused when written rather than found out when a pool does not scale.
        "webhooks": {"replicaCount": 2, "failurePolicy": "Fail"},
        "podDisruptionBudget": {part: {"maxUnavailable": 1} for part in ("operator", "metricServer", "webhooks")},
        "image": image,
        "rbac": {
            "enabledCustomScaledRefKinds": False,
            "aggregateToDefaultRoles": False,
        },
        "resources": {
            "operator": _resources("100m", "128Mi", "1000Mi"),
            "metricServer": _resources("100m", "128Mi", "1000Mi"),
            "webhooks": _resources("50m", "64Mi", "256Mi"),
        },
    }


def karpenter_values(settings: KarpenterArgs) -> KarpenterValues:
    """Karpenter: with its interruption queue, and the resources whose lack makes a cluster's scaling stall."""
    return {
        "replicas": 2,
        "serviceAccount": {"create": True, "name": settings.get("service_account", "karpenter")},
        "settings": {
            "clusterName": pulumi.Output.from_input(settings["cluster_name"]),
            "interruptionQueue": pulumi.Output.from_input(settings["interruption_queue"]),
            "eksControlPlane": True,
            "isolatedVPC": settings.get("isolated_vpc", False),
        },
        "controller": {
            "resources": _resources("500m", "1Gi", "1Gi"),
            "securityContext": {"seccompProfile": RUNTIME_DEFAULT},
        },
        "podSecurityContext": {"fsGroup": 65532, "seccompProfile": RUNTIME_DEFAULT},
    }


def _istio_global(settings: IstioArgs, more: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {"variant": "distroless", "logAsJson": True, **more}
    if "registry" in settings:
        values["hub"] = settings["registry"]
    return values


def _resources(cpu: str, memory: str, memory_limit: str) -> ResourcesValues:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory_limit}}
