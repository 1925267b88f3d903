"""Cases of the rules for clusters."""

from typing import Any

from agent_fleet_policies import eks, eks_access
from analyzer_process import Given
from policy_case import Case

ACCOUNT = "arn:aws:iam::123456789012:root"
KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/1"
_CLUSTER: dict[str, Any] = {
    "roleArn": "arn:aws:iam::123456789012:role/cluster",
    "version": "1.35",
    "vpcConfig": {"subnetIds": ["subnet-1"], "endpointPublicAccess": False, "endpointPrivateAccess": True},
    "enabledClusterLogTypes": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
    "encryptionConfig": {"resources": ["secrets"], "provider": {"keyArn": KEY_ARN}},
    "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
}
_PUBLIC_CLUSTER: dict[str, Any] = {
    **_CLUSTER,
    "vpcConfig": {"subnetIds": ["subnet-1"], "endpointPublicAccess": True, "publicAccessCidrs": ["10.0.0.0/8"]},
}
_NODES: dict[str, Any] = {
    "clusterName": "fleet",
    "nodeRoleArn": "arn:aws:iam::123456789012:role/nodes",
    "subnetIds": ["subnet-1"],
    "scalingConfig": {"desiredSize": 1, "minSize": 1, "maxSize": 3},
    "launchTemplate": {"id": "lt-1", "version": "1"},
    "labels": {"agent-fleet.io/untrusted": "true"},
    "taints": [{"key": "agent-fleet.io/untrusted", "value": "true", "effect": "NO_SCHEDULE"}],
    "remoteAccess": {"ec2SshKey": "key", "sourceSecurityGroupIds": ["sg-1"]},
}
_ADMIN: dict[str, Any] = {
    "clusterName": "fleet",
    "principalArn": "arn:aws:iam::123456789012:role/developer",
    "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
    "accessScope": {"type": "cluster"},
}


def _identity(name: str, account: str) -> Given:
    role = f"arn:aws:iam::123456789012:role/{name}"
    properties = {"clusterName": "fleet", "namespace": "a", "serviceAccount": account, "roleArn": role}
    return Given(eks_access.POD_IDENTITY, properties, name)


CASES = (
    Case(
        7,
        [Given(eks.CLUSTER, _CLUSTER)],
        [("vpcConfig/endpointPublicAccess", True)],
        [("vpcConfig/endpointPublicAccess", "refused"), ("vpcConfig", "refused"), ("version", "clean")],
        [("vpcConfig/endpointPublicAccess", "broken")],
    ),
    Case(
        8,
        [Given(eks.CLUSTER, _PUBLIC_CLUSTER)],
        [
            ("vpcConfig/publicAccessCidrs", ["0.0.0.0/0"]),
            ("vpcConfig/publicAccessCidrs", ["10.0.0.0/8", "::/0"]),
            ("vpcConfig/publicAccessCidrs", ["0.0.0.0/1", "128.0.0.0/1"]),
        ],
        [("vpcConfig/publicAccessCidrs", "refused"), ("vpcConfig/publicAccessCidrs/0", "refused")],
        [("vpcConfig/publicAccessCidrs", "broken")],
    ),
    Case(
        9,
        [Given(eks.CLUSTER, _CLUSTER)],
        [("vpcConfig/endpointPrivateAccess", False)],
        [("vpcConfig/endpointPrivateAccess", "refused")],
        [("vpcConfig/endpointPrivateAccess", "broken")],
    ),
    Case(
        10,
        [Given(eks.CLUSTER, _CLUSTER)],
        [("enabledClusterLogTypes", ["api", "audit"])],
        [("enabledClusterLogTypes", "waits"), ("enabledClusterLogTypes/1", "waits")],
        [("enabledClusterLogTypes", "broken")],
    ),
    Case(
        11,
        [Given(eks.CLUSTER, _CLUSTER)],
        [("encryptionConfig/resources", []), ("encryptionConfig/provider/keyArn", "")],
        [("encryptionConfig/provider/keyArn", "waits"), ("encryptionConfig", "waits")],
        [("encryptionConfig", "broken"), ("encryptionConfig/provider", "broken")],
    ),
    Case(
        12,
        [Given(eks.CLUSTER, _CLUSTER)],
        [("version", "1.29")],
        [("version", "refused")],
        [("version", "broken")],
    ),
    Case(
        13,
        [Given(eks.CLUSTER, _CLUSTER)],
        [("accessConfig/authenticationMode", "API_AND_CONFIG_MAP")],
        [("accessConfig/authenticationMode", "refused"), ("accessConfig", "refused")],
        [("accessConfig", "broken")],
    ),
    Case(
        14,
        [Given(eks.CLUSTER, _CLUSTER)],
        [("accessConfig/bootstrapClusterCreatorAdminPermissions", True)],
        [("accessConfig/bootstrapClusterCreatorAdminPermissions", "refused")],
        [("accessConfig/bootstrapClusterCreatorAdminPermissions", "broken")],
    ),
    Case(
        15,
        [Given(eks.NODE_GROUP, _NODES)],
        [("remoteAccess/sourceSecurityGroupIds", [])],
        [("remoteAccess/sourceSecurityGroupIds", "waits"), ("remoteAccess", "waits")],
        [("remoteAccess/sourceSecurityGroupIds", "broken"), ("remoteAccess", "clean")],
    ),
    Case(
        16,
        [Given(eks.NODE_GROUP, _NODES)],
        [("launchTemplate/id", "")],
        [("launchTemplate/id", "waits"), ("launchTemplate", "waits")],
        [("launchTemplate", "broken")],
    ),
    Case(
        17,
        [Given(eks.NODE_GROUP, _NODES)],
        [("taints", []), ("taints/0/effect", "PREFER_NO_SCHEDULE")],
        [("taints", "refused"), ("taints/0/effect", "refused"), ("scalingConfig", "clean")],
        [("taints", "broken"), ("labels", "clean")],
    ),
    Case(
        18,
        [
            Given(
                eks.ADDON,
                {
                    "clusterName": "fleet",
                    "addonName": "vpc-cni",
                    "configurationValues": '{"enableNetworkPolicy": "true"}',
                },
            )
        ],
        [("configurationValues", '{"enableNetworkPolicy": "false"}'), ("configurationValues", "no document")],
        [("configurationValues", "waits"), ("clusterName", "clean")],
        [("configurationValues", "broken")],
    ),
    Case(
        19,
        [Given(eks_access.ACCESS_POLICY, _ADMIN)],
        [("policyArn", "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy")],
        [("policyArn", "refused"), ("principalArn", "clean")],
        [("policyArn", "clean")],
    ),
    Case(
        19,
        [
            Given(
                eks_access.ACCESS_ENTRY, {"clusterName": "f", "principalArn": ACCOUNT, "kubernetesGroups": ["readers"]}
            )
        ],
        [("kubernetesGroups", ["readers", "system:masters"])],
        [("kubernetesGroups", "refused"), ("kubernetesGroups/0", "refused")],
        [("kubernetesGroups", "clean")],
    ),
    Case(
        20,
        [_identity("one", "one"), _identity("two", "two")],
        [("roleArn", "arn:aws:iam::123456789012:role/two"), ("serviceAccount", "default")],
        [("roleArn", "waits"), ("serviceAccount", "waits")],
        [("serviceAccount", "clean")],
    ),
)
