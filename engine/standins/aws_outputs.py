"""Computed outputs of AWS resources beyond id and ARN, as far as they follow from what is known."""

import base64
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from engine.standins.aws_identifiers import Identity, hexadecimal
from engine.standins.sdk_annotations import ShapeKind
from engine.standins.sdk_types import Property

_PORTS = {"postgres": 5432, "aurora-postgresql": 5432, "mysql": 3306, "mariadb": 3306}


def computed(identity: Identity, outputs: Mapping[str, Property], default_tags: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each computed output that can be told; the others are absent."""
    own: Any = identity.inputs.get("tags")
    known: dict[str, Any] = {
        "arn": identity.arn,
        "region": identity.region,
        "ownerId": identity.account,
        "accountId": identity.account,
        "registryId": identity.account,
        # An autoscaling group's are a list, each with whether its instances get it.
        "tagsAll": {**default_tags, **(own if isinstance(own, Mapping) else {})},
        **_SPECIFIC.get(identity.kind, lambda _: {})(identity),
    }
    result = {name: known[name] for name in outputs if known.get(name) is not None}
    for name, output in outputs.items():
        if name not in result and not output.optional and output.shape.kind in (ShapeKind.LIST, ShapeKind.MAP):
            # Programs index and iterate over these: an empty one is true, and None would break them.
            result[name] = [] if output.shape.kind is ShapeKind.LIST else {}
    return result


def _repository(identity: Identity) -> dict[str, Any]:
    return {"repositoryUrl": f"{identity.account}.dkr.ecr.{identity.region}.amazonaws.com/{identity.name}"}


def _cluster(identity: Identity) -> dict[str, Any]:
    digits = hexadecimal(identity.urn, 32).upper()
    host = f"{digits}.gr7.{identity.region}.eks.amazonaws.com"
    certificate = base64.b64encode(f"stand-in for the certificate of {identity.name}".encode()).decode()
    return {
        "endpoint": f"https://{host}",
        "certificateAuthority": {"data": certificate},
        "certificateAuthorities": [{"data": certificate}],
        "identities": [{"oidcs": [{"issuer": f"https://oidc.eks.{identity.region}.amazonaws.com/id/{digits}"}]}],
        "status": "ACTIVE",
        "platformVersion": "eks.1",
        "clusterId": "",
        "version": identity.inputs.get("version"),
    }


def _database(identity: Identity) -> dict[str, Any]:
    address = f"{identity.name}.{hexadecimal(identity.urn, 12)}.{identity.region}.rds.amazonaws.com"
    port = identity.inputs.get("port") or _PORTS.get(str(identity.inputs.get("engine")), 5432)
    return {
        "address": address,
        "endpoint": f"{address}:{port}",
        "port": port,
        "status": "available",
        "resourceId": f"db-{hexadecimal(identity.urn, 26, 'resource').upper()}",
        "engineVersionActual": identity.inputs.get("engineVersion"),
    }


def _vpc_endpoint(identity: Identity) -> dict[str, Any]:
    interface = identity.inputs.get("vpcEndpointType") == "Interface"
    subnets = identity.inputs.get("subnetIds") or []
    return {
        "state": "available",
        # Only a gateway has one: it is one list for a service and region, whichever endpoint asks.
        "prefixListId": None if interface else f"pl-{hexadecimal(str(identity.inputs.get('serviceName')), 8)}",
        "networkInterfaceIds": [f"eni-{hexadecimal(identity.urn, 17, str(subnet))}" for subnet in subnets],
    }


def _association(identity: Identity) -> dict[str, Any]:
    cluster = identity.inputs.get("clusterName")
    arn = f"arn:aws:eks:{identity.region}:{identity.account}:podidentityassociation/{cluster}/{identity.id}"
    return {"associationId": identity.id, "associationArn": arn}


def _access_entry(identity: Identity) -> dict[str, Any]:
    cluster, principal = identity.inputs.get("clusterName"), str(identity.inputs.get("principalArn"))
    kind, _, name = principal.rpartition(":")[2].partition("/")
    account = identity.account
    arn = f"arn:aws:eks:{identity.region}:{account}:access-entry/{cluster}/{kind}/{account}/{name}/{identity.uuid}"
    return {"accessEntryArn": arn, "userName": identity.inputs.get("userName") or principal}


def _mount_target(identity: Identity) -> dict[str, Any]:
    files = identity.inputs.get("fileSystemId")
    name = f"{files}.efs.{identity.region}.amazonaws.com"
    return {
        "dnsName": name,
        "mountTargetDnsName": f"{identity.region}a.{name}",
        "networkInterfaceId": f"eni-{hexadecimal(identity.urn, 17, 'interface')}",
        "fileSystemArn": f"arn:aws:elasticfilesystem:{identity.region}:{identity.account}:file-system/{files}",
    }


def _nat_gateway(identity: Identity) -> dict[str, Any]:
    # 198.51.100.0/24 is for documentation: https://www.rfc-editor.org/rfc/rfc5737
    return {
        "publicIp": f"198.51.100.{int(hexadecimal(identity.urn, 2), 16)}",
        "networkInterfaceId": f"eni-{hexadecimal(identity.urn, 17, 'interface')}",
    }


def _cache(identity: Identity) -> dict[str, Any]:
    host = f"{identity.name}.{hexadecimal(identity.urn, 6)}.ng.0001.cache.amazonaws.com"
    return {
        "primaryEndpointAddress": f"primary.{host}",
        "readerEndpointAddress": f"replica.{host}",
        "configurationEndpointAddress": f"config.{host}",
        "port": identity.inputs.get("port") or 6379,
    }


def _load_balancer(identity: Identity) -> dict[str, Any]:
    name = f"{identity.name}-{hexadecimal(identity.urn, 10)}.{identity.region}.elb.amazonaws.com"
    suffix = str(identity.arn).partition(":loadbalancer/")[2]
    return {"dnsName": name, "zoneId": "Z00000000000000000000", "arnSuffix": suffix}


def _secret_version(identity: Identity) -> dict[str, Any]:
    # Another content is another version.
    version = uuid.uuid5(uuid.NAMESPACE_URL, f"{identity.urn} {identity.inputs.get('secretString')}")
    return {"versionId": str(version), "secretArn": identity.inputs.get("secretId")}


def _bucket(identity: Identity) -> dict[str, Any]:
    name = identity.name
    return {
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{identity.region}.amazonaws.com",
    }


def _vpc(identity: Identity) -> dict[str, Any]:
    return {
        item: f"{prefix}-{hexadecimal(identity.urn, 17, item)}"
        for item, prefix in (
            ("defaultSecurityGroupId", "sg"),
            ("defaultRouteTableId", "rtb"),
            ("mainRouteTableId", "rtb"),
            ("defaultNetworkAclId", "acl"),
            ("dhcpOptionsId", "dopt"),
        )
    }


_SPECIFIC: dict[str, Callable[[Identity], dict[str, Any]]] = {
    "ecr/repository": _repository,
    "ec2/vpc": _vpc,
    "ec2/launchTemplate": lambda _: {"latestVersion": 1, "defaultVersion": 1},
    "ec2/eip": lambda identity: {
        "allocationId": identity.id,
        "publicIp": f"198.51.100.{int(hexadecimal(identity.urn, 2), 16)}",
    },
    "ec2/natGateway": _nat_gateway,
    "ec2/vpcEndpoint": _vpc_endpoint,
    "efs/fileSystem": lambda identity: {"dnsName": f"{identity.id}.efs.{identity.region}.amazonaws.com"},
    "efs/mountTarget": _mount_target,
    "eks/accessEntry": _access_entry,
    "eks/cluster": _cluster,
    "eks/podIdentityAssociation": _association,
    "eks/nodeGroup": lambda _: {"status": "ACTIVE"},
    "elasticache/replicationGroup": _cache,
    "iam/instanceProfile": lambda identity: {"uniqueId": f"AIPA{hexadecimal(identity.urn, 17).upper()}"},
    "iam/role": lambda identity: {"uniqueId": f"AROA{hexadecimal(identity.urn, 17).upper()}"},
    "iam/policy": lambda identity: {"policyId": f"ANPA{hexadecimal(identity.urn, 17).upper()}"},
    "kms/key": lambda identity: {"keyId": identity.id},
    "lb/loadBalancer": _load_balancer,
    "lb/targetGroup": lambda identity: {"arnSuffix": str(identity.arn).rpartition(":")[2]},
    "rds/instance": _database,
    "s3/bucket": _bucket,
    "secretsmanager/secretVersion": _secret_version,
    "sqs/queue": lambda identity: {"url": identity.id},
    "ssm/parameter": lambda _: {"version": 1},
}
