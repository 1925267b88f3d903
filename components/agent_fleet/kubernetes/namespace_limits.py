"""How much a namespace may hold, and how much one container in it: the defaults for each purpose."""

from collections.abc import Mapping
from typing import TypedDict

import pulumi_kubernetes as k8s


class QuotaArgs(TypedDict, total=False):
    """The most that all pods of a namespace may take together. Defaults: H8; twice that but for a pools' namespace."""

    requests_cpu: str
    """Default "4"."""
    requests_memory: str
    """Default "8Gi"."""
    limits_cpu: str
    """Default "8"."""
    limits_memory: str
    """Default "16Gi"."""
    persistent_volume_claims: int
    """Default 10; none in a sandboxes' namespace."""
    services: int
    """Default 5; none in a sandboxes' namespace."""
    pods: int
    """Default: not limited."""


class ContainerLimitsArgs(TypedDict, total=False):
    """What one container may take, and what it gets if it does not say. Defaults for a pools' namespace: H8."""

    default_cpu: str
    """Default "500m"."""
    default_memory: str
    """Default "512Mi"."""
    default_request_cpu: str
    """Default "250m"."""
    default_request_memory: str
    """Default "256Mi"."""
    maximum_cpu: str
    """Default "2"; "8" in a sandboxes' namespace, "4" in a system namespace."""
    maximum_memory: str
    """Default "2Gi"; "16Gi" in a sandboxes' namespace, "8Gi" in a system namespace."""
    minimum_cpu: str
    """Default "100m"; "10m" elsewhere than in a pools' namespace."""
    minimum_memory: str
    """Default "128Mi"; "16Mi" elsewhere than in a pools' namespace."""


_H8_QUOTA = QuotaArgs(
    requests_cpu="4",
    requests_memory="8Gi",
    limits_cpu="8",
    limits_memory="16Gi",
    persistent_volume_claims=10,
    services=5,
)
_TWICE_H8_QUOTA = QuotaArgs(requests_cpu="8", requests_memory="16Gi", limits_cpu="16", limits_memory="32Gi")
_QUOTAS: Mapping[str, QuotaArgs] = {
    "pools": _H8_QUOTA,
    "sandboxes": {**_TWICE_H8_QUOTA, "persistent_volume_claims": 0, "services": 0},
    "system": {**_TWICE_H8_QUOTA, "persistent_volume_claims": 10, "services": 5},
}

_H8_LIMITS = ContainerLimitsArgs(
    default_cpu="500m",
    default_memory="512Mi",
    default_request_cpu="250m",
    default_request_memory="256Mi",
    maximum_cpu="2",
    maximum_memory="2Gi",
    minimum_cpu="100m",
    minimum_memory="128Mi",
)
_LIMITS: Mapping[str, ContainerLimitsArgs] = {
    "pools": _H8_LIMITS,
    "sandboxes": {
        **_H8_LIMITS,
        "maximum_cpu": "8",
        "maximum_memory": "16Gi",
        "minimum_cpu": "10m",
        "minimum_memory": "16Mi",
    },
    "system": {
        **_H8_LIMITS,
        "maximum_cpu": "4",
        "maximum_memory": "8Gi",
        "minimum_cpu": "10m",
        "minimum_memory": "16Mi",
    },
}
_DISK, _DISK_REQUEST = "256Mi", "128Mi"


def quota_hard(purpose: str, given: QuotaArgs) -> dict[str, str]:
    """The `hard` of the namespace's ResourceQuota. Nothing in it may be reached from outside past the fleet's API."""
    quota: QuotaArgs = {**_QUOTAS[purpose], **given}
    hard = {
        "requests.cpu": quota.get("requests_cpu", ""),
        "requests.memory": quota.get("requests_memory", ""),
        "limits.cpu": quota.get("limits_cpu", ""),
        "limits.memory": quota.get("limits_memory", ""),
        "persistentvolumeclaims": str(quota.get("persistent_volume_claims", 0)),
        "services": str(quota.get("services", 0)),
        "services.loadbalancers": "0",
        "services.nodeports": "1" if purpose == "system" else "0",
    }
    if "pods" in quota:
        hard["pods"] = str(quota["pods"])
    return hard


def container_limits(purpose: str, given: ContainerLimitsArgs) -> k8s.core.v1.LimitRangeItemArgs:
    """The item of the namespace's LimitRange."""
    limits: ContainerLimitsArgs = {**_LIMITS[purpose], **given}

    def amounts(cpu: str | None, memory: str | None) -> dict[str, str]:
        return {"cpu": cpu or "", "memory": memory or ""}

    return k8s.core.v1.LimitRangeItemArgs(
        type="Container",
        default={**amounts(limits.get("default_cpu"), limits.get("default_memory")), "ephemeral-storage": _DISK},
        default_request={
            **amounts(limits.get("default_request_cpu"), limits.get("default_request_memory")),
            "ephemeral-storage": _DISK_REQUEST,
        },
        max=amounts(limits.get("maximum_cpu"), limits.get("maximum_memory")),
        min=amounts(limits.get("minimum_cpu"), limits.get("minimum_memory")),
    )
