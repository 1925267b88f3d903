"""For each rule one change of a shipped stack that breaks it."""

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_fleet_policies import compute, eks, eks_access, iam, messaging, pods, storage
from agent_fleet_policies import kubernetes_namespaces as namespaces
from agent_fleet_policies import kubernetes_others as others
from agent_fleet_policies import security_groups as groups
from analyzer_process import Given, changed, copies
from policy_case import allow, document
from policy_cases import CASES

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
    stack: str = "local-cluster"

    def apply(self, given: Sequence[Given]) -> tuple[list[Given], Given]:
        """The stack with the first resources of the rule's case, broken in its first way."""
        case = next(case for case in CASES if case.rule == self.rule)
        path, value = case.broken[0]
        new = changed(case.given, path, value)
        which = int(path.partition(":")[0]) if path[0].isdigit() else 0
        return [*given, *new], new[which]

    def right(self, given: Sequence[Given]) -> list[Given]:
        """The same without the fault."""
        return [*given, *next(case for case in CASES if case.rule == self.rule).given]


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
ADDITIONS = tuple(Addition(rule) for rule in (1, 2, 3, 5, 6, 33, 34, 40, 62))
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
    Mutation(35, storage.FILE_SYSTEM_POLICY, "*", "policy", _json(allow("elasticfilesystem:ClientMount"))),
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
    Mutation(58, namespaces.NETWORK_POLICY, "*-payments-deny-all", "spec/policyTypes", ["Ingress"]),
    Mutation(59, namespaces.QUOTA, "*-payments-*", "metadata/namespace", "another"),
    Mutation(60, others.ROLE, "*", "rules/0/verbs", ["*"]),
    Mutation(61, others.SERVICE, "*", "spec/type", "LoadBalancer"),
    Mutation(63, pods.DEPLOYMENT, _WORKER, "", None),
    Mutation(64, others.CLAIM, "*", "spec/accessModes", ["ReadWriteOnce"]),
)
