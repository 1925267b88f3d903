"""What a kind is called in an API server's paths, and whether its objects live in namespaces.

Built-in kinds follow from their names, so a preview of them asks nothing; other kinds are looked up in the server's
discovery. tests/engine/test_kubernetes_kinds.py holds the rules against a real API server.
"""

from dataclasses import dataclass

_CLUSTER_WIDE = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "ComponentStatus",
        "CustomResourceDefinition",
        "DeviceClass",
        "DeviceTaintRule",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "SelfSubjectAccessReview",
        "SelfSubjectReview",
        "SelfSubjectRulesReview",
        "ServiceCIDR",
        "StorageClass",
        "StorageVersion",
        "StorageVersionMigration",
        "SubjectAccessReview",
        "TokenReview",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)
_BUILT_IN_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "policy", "extensions", "events.k8s.io"})
# Groups under k8s.io that are CustomResourceDefinitions all the same.
_CUSTOM_GROUPS = (
    "gateway.networking.k8s.io",
    "snapshot.storage.k8s.io",
    "metrics.k8s.io",
    "autoscaling.k8s.io",
    "policy.networking.k8s.io",
)


@dataclass(frozen=True)
class Kind:
    """One kind of objects; `api_version` is `v1` or `apps/v1`."""

    api_version: str
    name: str
    plural: str
    namespaced: bool

    @property
    def group(self) -> str:
        """The API group; empty for the core one."""
        return self.api_version.rpartition("/")[0]

    def collection(self, namespace: str) -> str:
        """The path of the objects of this kind."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{root}/{self.plural}"

    def path(self, namespace: str, name: str) -> str:
        """The path of one object."""
        return f"{self.collection(namespace)}/{name}"


def plural_of(name: str) -> str:
    """`NetworkPolicy` is `networkpolicies` in paths."""
    lower = name.lower()
    if lower.endswith("endpoints"):
        return lower
    if lower.endswith(("s", "x", "ch")):
        return f"{lower}es"
    if lower.endswith("y") and lower[-2] not in "aeiou":
        return f"{lower[:-1]}ies"
    return f"{lower}s"


def built_in(api_version: str, name: str) -> Kind | None:
    """The kind, when it is one of Kubernetes' own; None when a server has to be asked."""
    group = api_version.rpartition("/")[0]
    own = group in _BUILT_IN_GROUPS or (group.endswith(".k8s.io") and not group.endswith(_CUSTOM_GROUPS))
    if not own or group.endswith(".x-k8s.io"):
        return None
    return Kind(api_version, name, plural_of(name), name not in _CLUSTER_WIDE)


def guessed(api_version: str, name: str) -> Kind:
    """What a kind most likely is, where no server can be asked: namespaced, and with a regular plural."""
    return built_in(api_version, name) or Kind(api_version, name, plural_of(name), namespaced=True)


def token_kind(token: str) -> tuple[str, str, bool]:
    """API version, kind and whether it is a patch, of a resource type (`kubernetes:apps/v1:DeploymentPatch`)."""
    _, api_version, name = token.split(":", 2)
    api_version = api_version.removeprefix("core/")
    patch = name.endswith("Patch") and name != "Patch"
    return api_version, name.removesuffix("Patch") if patch else name, patch
