"""For each rule one change of a shipped stack that breaks it."""

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent_fleet_policies import compute, eks, eks_access, iam, messaging, pods, registry, storage
from agent_fleet_policies import kubernetes_namespaces as namespaces
from agent_fleet_policies import kubernetes_others as others
from agent_fleet_policies import security_groups as groups
from analyzer_process import Given, changed, copies
from policy_case import allow, document

_POD = "spec/template/spec"
_CONTAINER = f"{_POD}/containers/0"
_WORKER = "payments-implementation"
_SANDBOX = "payments-implementation-sandboxes"


@dataclass(frozen=True)
class Mutation:
    """A change of one property of one resource; `...` takes it away."""

    rule: int
    type: str
    name: str
    path: str
    value: Any
    also: tuple[int, ...] = ()
    """Rules that the same change breaks as well, by what they mean."""
    stack: str = "prod"
    reported: str = ""
    """The type that is reported, where another resource is said to lack what this one was."""

    def apply(self, given: Sequence[Given]) -> tuple[list[Given], Given]:
        """The changed stack, and the resource that was changed."""
        which = next(
            i for i, each in enumerate(given) if each.type == self.type and fnmatch.fnmatchcase(each.name, self.name)
        )
        (one,) = changed([given[which]], self.path, self.value) if self.path else copies([given[which]])
        if not self.path:
            one.ignored = ()
        return [*given[:which], one, *given[which + 1 :]], one


@dataclass(frozen=True)
class Addition:
    """Something new in the stack, right but for one property: for what no shipped stack has."""

    rule: int
    given: tuple[Given, ...]
    path: str
    """As for `changed`; empty where the thing itself is not wanted."""
    value: Any
    reported: int = 0
    """Which of them is reported."""
    stack: str = "dev"

    @property
    def which(self) -> int:
        """Which of them is changed."""
        return int(self.path.partition(":")[0]) if self.path[:1].isdigit() else 0

    def new(self) -> list[Given]:
        """What is added, with its fault."""
        return self._placed(changed(self.given, self.path, self.value) if self.path else self.given)

    def apply(self, given: Sequence[Given]) -> tuple[list[Given], Given]:
        """The stack with it, and the resource that has to be reported."""
        new = self.new()
        return [*given, *new], new[self.reported]

    def right(self, given: Sequence[Given]) -> list[Given]:
        """The same without the fault."""
        return [*given, *(self._placed(self.given) if self.path else ())]

    def _placed(self, given: Sequence[Given]) -> list[Given]:
        return [
            replace(each, urn=each.urn.replace("urn:pulumi:test::", f"urn:pulumi:{self.stack}::")) for each in given
        ]


def _json(*statements: dict[str, Any]) -> str:
    return json.dumps(document(*statements))


_QUEUE = "arn:aws:sqs:eu-west-1:123456789012:jobs"
_FEDERATED = _json(
    {
        "Effect": "Allow",
        "Action": iam.WEB_IDENTITY,
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/x"},
    }
)
_OPEN_QUEUE = _json(allow("sqs:SendMessage", _QUEUE, Principal="*"))
_REGISTRY = (
    Given(
        registry.REPOSITORY,
        {
            "name": "fleet/added",
            "imageTagMutability": "IMMUTABLE",
            "encryptionConfigurations": [
                {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:eu-west-1:123456789012:key/1"}
            ],
        },
        "added",
    ),
    Given(
        registry.SCANNING,
        {
            "scanType": "BASIC",
            "rules": [
                {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "fleet", "filterType": "WILDCARD"}]}
            ],
        },
        "added",
    ),
    Given(registry.LIFECYCLE_POLICY, {"repository": "fleet/added", "policy": "{}"}, "added"),
    Given(
        registry.REPOSITORY_POLICY,
        {
            "repository": "fleet/added",
            "policy": _json(allow("ecr:BatchGetImage", Principal={"AWS": "arn:aws:iam::123456789012:root"})),
        },
        "added",
    ),
)
_ACCESS_POINT = (
    Given(
        storage.ACCESS_POINT,
        {"fileSystemId": "fs-1", "posixUser": {"uid": 1001, "gid": 1001}, "rootDirectory": {"path": "/tenant"}},
        "added",
    ),
)
_CACHE = (
    Given(
        messaging.REPLICATION_GROUP,
        {
            "description": "added",
            "atRestEncryptionEnabled": True,
            "transitEncryptionEnabled": True,
            "userGroupIds": ["fleet"],
        },
        "added",
    ),
)
_MESH = (
    Given(
        others.PEER_AUTHENTICATION,
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "added", "namespace": "added"},
            "spec": {"mtls": {"mode": "STRICT"}},
        },
        "added",
    ),
)
_OPEN_REPOSITORY = _json(allow("ecr:BatchGetImage", Principal="*"))
ADDITIONS = (
    Addition(1, _REGISTRY, "imageTagMutability", "MUTABLE"),
    Addition(2, _REGISTRY, "1:rules/0/scanFrequency", "MANUAL"),
    Addition(3, _REGISTRY, "encryptionConfigurations/0/encryptionType", "AES256"),
    Addition(4, _REGISTRY, "forceDelete", True, stack="staging"),
    Addition(5, _REGISTRY, "2:repository", "another"),
    Addition(6, _REGISTRY, "3:policy", _OPEN_REPOSITORY, reported=3),
    Addition(33, _ACCESS_POINT, "posixUser/uid", 0),
    Addition(34, _ACCESS_POINT, "rootDirectory/path", "/"),
    Addition(40, _CACHE, "transitEncryptionEnabled", False),
    Addition(48, (Given(iam.ACCESS_KEY, {"user": "ci"}, "added"),), "", None),
    Addition(62, _MESH, "spec/mtls/mode", "PERMISSIVE", stack="prod"),
)
MUTATIONS = (
    Mutation(7, eks.CLUSTER, "*", "vpcConfig/endpointPublicAccess", True, also=(8,)),
    Mutation(8, eks.CLUSTER, "*", "vpcConfig/endpointPublicAccess", ..., also=(7,)),
    Mutation(9, eks.CLUSTER, "*", "vpcConfig/endpointPrivateAccess", False),
    Mutation(10, eks.CLUSTER, "*", "enabledClusterLogTypes", ["api"]),
    Mutation(11, eks.CLUSTER, "*", "encryptionConfig", ...),
    Mutation(12, eks.CLUSTER, "*", "version", "1.31"),
    Mutation(13, eks.CLUSTER, "*", "accessConfig/authenticationMode", "CONFIG_MAP"),
    Mutation(14, eks.CLUSTER, "*", "accessConfig/bootstrapClusterCreatorAdminPermissions", ...),
    Mutation(15, eks.NODE_GROUP, "*", "remoteAccess", {"ec2SshKey": "key"}),
    Mutation(16, eks.NODE_GROUP, "*", "launchTemplate", ...),
    Mutation(17, eks.NODE_GROUP, "*-untrusted", "taints", ...),
    Mutation(18, eks.ADDON, "*vpc-cni", "configurationValues", "{}"),
    Mutation(19, eks_access.ACCESS_POLICY, "*", "principalArn", "arn:aws:iam::123456789012:role/anybody"),
    Mutation(20, eks_access.POD_IDENTITY, _WORKER, "serviceAccount", "default"),
    Mutation(21, compute.LAUNCH_TEMPLATE, "*-untrusted", "metadataOptions/httpTokens", "optional"),
    Mutation(22, compute.LAUNCH_TEMPLATE, "*-untrusted", "metadataOptions/httpPutResponseHopLimit", 2),
    Mutation(23, compute.LAUNCH_TEMPLATE, "*-system", "blockDeviceMappings/0/ebs/encrypted", "false"),
    Mutation(24, compute.LAUNCH_TEMPLATE, "*-system", "networkInterfaces", [{"associatePublicIpAddress": "true"}]),
    Mutation(25, compute.LAUNCH_TEMPLATE, "*-system", "userData", "export DATABASE_PASSWORD=correct-horse"),
    Mutation(26, compute.INSTANCE, "*", "userData", "export DATABASE_PASSWORD=correct-horse", stack="dev"),
    Mutation(27, compute.GROUP, "*", "launchConfiguration", "old", stack="staging"),
    Mutation(28, eks.NODE_GROUP, "*-untrusted-spot", "scalingConfig/maxSize", 5000),
    Mutation(29, groups.INGRESS_RULE, "*-control-plane-from-client-0", "cidrIpv4", "0.0.0.0/0"),
    Mutation(30, groups.EGRESS_RULE, "*-untrusted-*", "cidrIpv4", "0.0.0.0/0"),
    Mutation(31, storage.FILE_SYSTEM, "*", "encrypted", False),
    Mutation(32, storage.FILE_SYSTEM, "*", "kmsKeyId", ...),
    Mutation(
        35,
        storage.FILE_SYSTEM_POLICY,
        "*",
        "policy",
        _json(allow("elasticfilesystem:ClientMount")),
        reported=storage.FILE_SYSTEM,
    ),
    Mutation(36, storage.STORAGE_CLASS, "*", "reclaimPolicy", "Delete"),
    Mutation(37, messaging.QUEUE, "*-jobs", "sqsManagedSseEnabled", ..., stack="staging"),
    Mutation(38, messaging.QUEUE, "*-jobs", "redrivePolicy", ..., stack="staging"),
    Mutation(39, messaging.QUEUE_POLICY, "*-jobs", "policy", _OPEN_QUEUE, stack="staging"),
    Mutation(41, messaging.KEY, "*", "enableKeyRotation", ...),
    Mutation(42, messaging.LOG_GROUP, "*", "retentionInDays", ...),
    Mutation(43, iam.ROLE_POLICY, _WORKER, "policy", _json(allow("*", _QUEUE))),
    Mutation(44, iam.ROLE_POLICY, "payments-testing", "policy", _json(allow("s3:GetObject"))),
    Mutation(
        45,
        iam.ROLE_POLICY,
        "payments-security",
        "policy",
        _json(allow("iam:PassRole", "arn:aws:iam::123456789012:role/*")),
    ),
    Mutation(46, iam.ROLE, _WORKER, "assumeRolePolicy", _FEDERATED),
    Mutation(47, iam.ROLE_ATTACHMENT, "*", "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess"),
    Mutation(49, pods.DEPLOYMENT, _SANDBOX, f"{_CONTAINER}/securityContext/privileged", True),
    Mutation(50, pods.DEPLOYMENT, _SANDBOX, f"{_CONTAINER}/image", "registry.example.com/agent-fleet/sandbox:1.0"),
    Mutation(51, pods.DEPLOYMENT, _WORKER, f"{_CONTAINER}/resources/limits", ...),
    Mutation(52, pods.DEPLOYMENT, _WORKER, f"{_CONTAINER}/securityContext/readOnlyRootFilesystem", ...),
    Mutation(53, pods.DEPLOYMENT, _WORKER, f"{_POD}/automountServiceAccountToken", ...),
    Mutation(54, pods.DEPLOYMENT, _WORKER, f"{_POD}/serviceAccountName", ...),
    Mutation(55, pods.DEPLOYMENT, _WORKER, f"{_CONTAINER}/env/0", {"name": "DATABASE_PASSWORD", "value": "hunter2"}),
    Mutation(56, pods.DEPLOYMENT, _SANDBOX, f"{_POD}/runtimeClassName", ...),
    Mutation(
        57, namespaces.NAMESPACE, "*-payments", "metadata/labels/pod-security.kubernetes.io%enforce", "privileged"
    ),
    Mutation(
        58,
        namespaces.NETWORK_POLICY,
        "*-payments-deny-all",
        "spec/policyTypes",
        ["Ingress"],
        reported=namespaces.NAMESPACE,
    ),
    Mutation(59, namespaces.QUOTA, "*-payments-*", "metadata/namespace", "another", reported=namespaces.NAMESPACE),
    Mutation(60, others.ROLE, "*", "rules/0/verbs", ["*"]),
    Mutation(61, others.SERVICE, "*", "spec/type", "LoadBalancer"),
    Mutation(63, pods.DEPLOYMENT, _WORKER, "", None),
    Mutation(64, others.CLAIM, "*", "spec/accessModes", ["ReadWriteOnce"]),
)
CHANGES: tuple[Mutation | Addition, ...] = tuple(sorted((*MUTATIONS, *ADDITIONS), key=lambda each: each.rule))
"""One for each rule."""
