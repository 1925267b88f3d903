"""Ids, ARNs and other computed outputs of AWS resources, made up but of the right form and the same on every run.

The forms are AWS's own: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html and the resource types'
"Identifiers" sections. The account is one that cannot exist.
"""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

ACCOUNT = "000000000000"

_HEX_IDS = {
    "ec2/vpc": "vpc",
    "ec2/subnet": "subnet",
    "ec2/defaultSecurityGroup": "sg",
    "ec2/securityGroup": "sg",
    "vpc/securityGroupIngressRule": "sgr",
    "vpc/securityGroupEgressRule": "sgr",
    "ec2/securityGroupRule": "sgrule",
    "ec2/vpcEndpoint": "vpce",
    "ec2/instance": "i",
    "ec2/launchTemplate": "lt",
    "ec2/routeTable": "rtb",
    "ec2/routeTableAssociation": "rtbassoc",
    "ec2/internetGateway": "igw",
    "ec2/natGateway": "nat",
    "ec2/eip": "eipalloc",
    "ec2/networkInterface": "eni",
    "ec2/flowLog": "fl",
    "ebs/volume": "vol",
    "efs/fileSystem": "fs",
    "efs/accessPoint": "fsap",
    "efs/mountTarget": "fsmt",
    "eks/podIdentityAssociation": "a",
}
"""Types whose id is a prefix and seventeen hexadecimal digits."""

_ARNS = {
    "autoscaling/group": "autoscaling:{region}:{account}:autoScalingGroup:{uuid}:autoScalingGroupName/{name}",
    "autoscaling/policy": (
        "autoscaling:{region}:{account}:scalingPolicy:{uuid}:autoScalingGroupName/{autoscalingGroupName}:policyName/{name}"
    ),
    "cloudwatch/eventRule": "events:{region}:{account}:rule/{name}",
    "cloudwatch/logGroup": "logs:{region}:{account}:log-group:{name}",
    "cloudwatch/metricAlarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "ec2/internetGateway": "ec2:{region}:{account}:internet-gateway/{id}",
    "ec2/launchTemplate": "ec2:{region}:{account}:launch-template/{id}",
    "ec2/routeTable": "ec2:{region}:{account}:route-table/{id}",
    "ec2/defaultSecurityGroup": "ec2:{region}:{account}:security-group/{id}",
    "ec2/natGateway": "ec2:{region}:{account}:natgateway/{id}",
    "ec2/flowLog": "ec2:{region}:{account}:vpc-flow-log/{id}",
    "ec2/securityGroup": "ec2:{region}:{account}:security-group/{id}",
    "ec2/vpcEndpoint": "ec2:{region}:{account}:vpc-endpoint/{id}",
    "ec2/eip": "ec2:{region}:{account}:elastic-ip/{id}",
    "ebs/volume": "ec2:{region}:{account}:volume/{id}",
    "ecr/repository": "ecr:{region}:{account}:repository/{name}",
    "efs/accessPoint": "elasticfilesystem:{region}:{account}:access-point/{id}",
    "efs/fileSystem": "elasticfilesystem:{region}:{account}:file-system/{id}",
    "eks/addon": "eks:{region}:{account}:addon/{clusterName}/{addonName}/{uuid}",
    "eks/cluster": "eks:{region}:{account}:cluster/{name}",
    "eks/nodeGroup": "eks:{region}:{account}:nodegroup/{clusterName}/{nodeGroupName}/{uuid}",
    "vpc/securityGroupIngressRule": "ec2:{region}:{account}:security-group-rule/{id}",
    "vpc/securityGroupEgressRule": "ec2:{region}:{account}:security-group-rule/{id}",
    "elasticache/parameterGroup": "elasticache:{region}:{account}:parametergroup:{name}",
    "elasticache/replicationGroup": "elasticache:{region}:{account}:replicationgroup:{replicationGroupId}",
    "elasticache/subnetGroup": "elasticache:{region}:{account}:subnetgroup:{name}",
    "iam/instanceProfile": "iam::{account}:instance-profile{path}{name}",
    "iam/policy": "iam::{account}:policy{path}{name}",
    "iam/role": "iam::{account}:role{path}{name}",
    "kms/alias": "kms:{region}:{account}:{name}",
    "kms/key": "kms:{region}:{account}:key/{id}",
    "lb/listener": "elasticloadbalancing:{region}:{account}:listener/{hex}",
    "lb/loadBalancer": "elasticloadbalancing:{region}:{account}:loadbalancer/{name}/{hex}",
    "lb/targetGroup": "elasticloadbalancing:{region}:{account}:targetgroup/{name}/{hex}",
    "rds/instance": "rds:{region}:{account}:db:{identifier}",
    "rds/parameterGroup": "rds:{region}:{account}:pg:{name}",
    "rds/subnetGroup": "rds:{region}:{account}:subgrp:{name}",
    "s3/bucket": "s3:::{bucket}",
    "secretsmanager/secret": "secretsmanager:{region}:{account}:secret:{name}-{hex6}",
    "sns/topic": "sns:{region}:{account}:{name}",
    "sqs/queue": "sqs:{region}:{account}:{name}",
    "ssm/parameter": "ssm:{region}:{account}:parameter/{name}",
}

_ID_IS_ARN = frozenset(
    {
        "iam/policy",
        "lb/listener",
        "lb/loadBalancer",
        "lb/targetGroup",
        "secretsmanager/secret",
        "sns/topic",
    }
)
_COMPOUND_IDS = {
    "cloudwatch/eventTarget": "{rule}-{targetId}",
    "eks/accessEntry": "{clusterName}:{principalArn}",
    "eks/accessPolicyAssociation": "{clusterName}#{principalArn}#{policyArn}",
    "ecr/lifecyclePolicy": "{repository}",
    "ecr/pullThroughCacheRule": "{ecrRepositoryPrefix}",
    "efs/backupPolicy": "{fileSystemId}",
    "efs/fileSystemPolicy": "{fileSystemId}",
    "iam/rolePolicy": "{role}:{name}",
    "kms/keyPolicy": "{keyId}",
    "sqs/queuePolicy": "{queueUrl}",
    "sqs/redriveAllowPolicy": "{queueUrl}",
    "sqs/redrivePolicy": "{queueUrl}",
}
"""Types whose id is made of their inputs."""
_ID_IS_ACCOUNT = frozenset({"ecr/registryScanningConfiguration", "ecr/replicationConfiguration", "ecr/registryPolicy"})
_NAME_PROPERTIES = ("name", "bucket", "identifier", "replicationGroupId", "dashboardName", "nodeGroupName", "addonName")


def hexadecimal(urn: str, digits: int, salt: str = "") -> str:
    """Digits that depend on the resource alone."""
    return hashlib.sha256(f"{urn}\0{salt}".encode()).hexdigest()[:digits]


def kind(token: str) -> str:
    """`ecr/repository` of `aws:ecr/repository:Repository`."""
    return token.split(":")[1]


class Identity:
    """The identity of one resource: its id, ARN and what else follows from type, name and region."""

    def __init__(
        self,
        urn: str,
        token: str,
        inputs: Mapping[str, Any],
        region: str,
        *,
        account: str = ACCOUNT,
        known_id: str = "",
    ) -> None:
        """`inputs` are plain values; `known_id` is the id of a resource that an emulator has made."""
        self.urn = urn
        self.account = account
        self._known_id = known_id
        self.kind = kind(token)
        self.region = region
        self.inputs = inputs
        self._hex = hexadecimal(urn, 17)
        self.uuid = str(uuid.UUID(hexadecimal(urn, 32, "uuid")))

    @property
    def name(self) -> str:
        """The name that the resource goes by."""
        return next((str(self.inputs[item]) for item in _NAME_PROPERTIES if self.inputs.get(item)), self._hex)

    @property
    def id(self) -> str:
        """The id that the official provider gives it."""
        if self._known_id:
            return self._known_id
        if self.kind in _HEX_IDS:
            return f"{_HEX_IDS[self.kind]}-{self._hex}"
        if self.kind == "kms/key":
            return self.uuid
        if self.kind == "sqs/queue":
            return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{self.name}"
        if self.kind in _ID_IS_ARN:
            return self.arn or self.name
        if self.kind in _COMPOUND_IDS:
            return _COMPOUND_IDS[self.kind].format_map(_Known(self.inputs, self._hex))
        if self.kind in _ID_IS_ACCOUNT:
            return self.account
        if self.kind in ("eks/addon", "eks/nodeGroup"):
            return f"{self.inputs.get('clusterName')}:{self.name}"
        return self.name

    @property
    def arn(self) -> str | None:
        """The ARN, or None for a type whose form is not known here."""
        if self._known_id.startswith("arn:"):
            return self._known_id
        form = _ARNS.get(self.kind)
        if form is None:
            prefix = self.kind.partition("/")[0]
            return f"arn:aws:ec2:{self.region}:{self.account}:{self._short}/{self.id}" if prefix == "ec2" else None
        values = {key: value for key, value in self.inputs.items() if isinstance(value, str)}
        known = {
            **values,
            "region": self.region,
            "account": self.account,
            "name": self.name.lstrip("/") if self.kind == "ssm/parameter" else self.name,
            "id": self.id if self.kind not in _ID_IS_ARN else "",
            "uuid": self.uuid,
            "hex": hexadecimal(self.urn, 16),
            "hex6": hexadecimal(self.urn, 6),
            "path": self.inputs.get("path") or "/",
        }
        return "arn:aws:" + form.format_map(_Known(known, self.name))

    @property
    def _short(self) -> str:
        return self.kind.rpartition("/")[2].lower()


class _Known(dict[str, Any]):
    """Values for an ARN's form, where what the program left out is the resource's name."""

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        super().__init__(values)
        self._name = name

    def __missing__(self, key: str) -> str:
        return self._name
