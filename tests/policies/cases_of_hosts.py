"""Cases of the rules for hosts, security groups and identities."""

import base64
import gzip
from typing import Any

from agent_fleet_policies import compute, security_groups
from analyzer_process import Given, secret
from policy_case import Case

_BOOT = "#!/bin/sh\nsystemctl start fleet\n"
_LEAK = "#!/bin/sh\nexport AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY\n"


def _encoded(text: str, *, packed: bool = False) -> str:
    content = text.encode()
    return base64.b64encode(gzip.compress(content) if packed else content).decode()


_TEMPLATE: dict[str, Any] = {
    "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true"}}],
    "networkInterfaces": [{"associatePublicIpAddress": "false"}],
    "userData": _encoded(_BOOT),
}
_INSTANCE: dict[str, Any] = {
    "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    "rootBlockDevice": {"encrypted": True},
    "ebsBlockDevices": [{"deviceName": "/dev/xvdb", "encrypted": True}],
    "associatePublicIpAddress": False,
    "userData": _BOOT,
}
_GROUP: dict[str, Any] = {"minSize": 1, "maxSize": 10, "launchTemplate": {"id": "lt-1", "version": "1"}}
_MIXED: dict[str, Any] = {
    "minSize": 1,
    "maxSize": 10,
    "mixedInstancesPolicy": {"launchTemplate": {"launchTemplateSpecification": {"launchTemplateId": "lt-1"}}},
}
_HTTPS: dict[str, Any] = {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/8"]}
_INGRESS_RULE: dict[str, Any] = {
    "securityGroupId": "sg-1", "ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIpv4": "10.0.0.0/8",
}  # fmt: skip
_EGRESS_RULE: dict[str, Any] = {**_INGRESS_RULE, "securityGroupId": "sg-1"}
_OLD_RULE: dict[str, Any] = {"type": "ingress", "securityGroupId": "sg-1", **_HTTPS}


def _hosts(rule: int, broken: dict[str, Any], unknown: str, path: str) -> list[Case]:
    return [
        Case(rule, [Given(kind, properties)], list(broken.items()), [(path, unknown)], [(path, "broken")])  # pyright: ignore[reportArgumentType]
        for kind, properties in (
            (compute.LAUNCH_TEMPLATE, _TEMPLATE),
            (compute.INSTANCE, _INSTANCE),
            (compute.LAUNCH_CONFIGURATION, {**_INSTANCE, "imageId": "ami-1", "instanceType": "m7i.large"}),
            (compute.SPOT_INSTANCE, _INSTANCE),
        )
    ]


CASES = (
    *_hosts(21, {"metadataOptions/httpTokens": "optional"}, "refused", "metadataOptions/httpTokens"),
    *_hosts(22, {"metadataOptions/httpPutResponseHopLimit": 2}, "refused", "metadataOptions/httpPutResponseHopLimit"),
    Case(
        23,
        [Given(compute.VOLUME, {"availabilityZone": "eu-west-1a", "encrypted": True})],
        [("encrypted", False)],
        [("encrypted", "waits")],
        [("encrypted", "broken")],
    ),
    Case(
        23,
        [Given(compute.LAUNCH_TEMPLATE, _TEMPLATE)],
        [("blockDeviceMappings/0/ebs/encrypted", "false"), ("blockDeviceMappings", [])],
        [("blockDeviceMappings/0/ebs/encrypted", "waits"), ("blockDeviceMappings", "waits")],
        [("blockDeviceMappings", "broken"), ("blockDeviceMappings/0/ebs/encrypted", "broken")],
    ),
    Case(
        23,
        [Given(compute.INSTANCE, _INSTANCE)],
        [("rootBlockDevice/encrypted", False), ("ebsBlockDevices/0/encrypted", False)],
        [("rootBlockDevice", "waits"), ("ebsBlockDevices", "waits")],
        [("rootBlockDevice", "broken"), ("ebsBlockDevices", "clean")],
    ),
    Case(
        23,
        [Given(compute.INSTANCE, {"launchTemplate": {"id": "lt-1"}})],
        [("launchTemplate", {}), ("rootBlockDevice", {"encrypted": False})],
        [("launchTemplate", "waits"), ("launchTemplate/id", "clean")],
        [("launchTemplate", "broken")],
    ),
    Case(
        24,
        [Given(compute.LAUNCH_TEMPLATE, _TEMPLATE)],
        [("networkInterfaces/0/associatePublicIpAddress", "true")],
        [("networkInterfaces/0/associatePublicIpAddress", "refused"), ("networkInterfaces", "waits")],
        [("networkInterfaces", "clean")],
    ),
    Case(
        24,
        [Given(compute.INSTANCE, _INSTANCE)],
        [("associatePublicIpAddress", True)],
        [("associatePublicIpAddress", "refused")],
        [("associatePublicIpAddress", "clean")],
    ),
    Case(
        25,
        [Given(compute.LAUNCH_TEMPLATE, _TEMPLATE)],
        [
            ("userData", _encoded(_LEAK)),
            ("userData", _encoded(_LEAK, packed=True)),
            ("userData", secret(_encoded(_BOOT))),
        ],
        [("userData", "waits")],
        [("userData", "clean")],
    ),
    Case(
        26,
        [Given(compute.INSTANCE, _INSTANCE)],
        [
            ("userData", _LEAK),
            ("userData", "-----BEGIN OPENSSH PRIVATE KEY-----\nx"),
            ("userData", "curl https://me:hunter2@example.com"),
            ("userDataBase64", _encoded(_LEAK)),
        ],
        [("userData", "waits")],
        [("userData", "clean")],
    ),
    Case(
        27,
        [Given(compute.GROUP, _GROUP)],
        [("launchConfiguration", "old"), ("launchTemplate/id", "")],
        [("launchTemplate/id", "waits"), ("launchTemplate", "waits")],
        [("launchTemplate", "broken")],
    ),
    Case(
        27,
        [Given(compute.GROUP, _MIXED)],
        [("mixedInstancesPolicy/launchTemplate/launchTemplateSpecification/launchTemplateId", "")],
        [("mixedInstancesPolicy", "waits")],
        [("mixedInstancesPolicy", "broken")],
    ),
    Case(
        28,
        [Given(compute.GROUP, _GROUP)],
        [("maxSize", 1000), ("minSize", 11)],
        [("maxSize", "waits"), ("minSize", "waits")],
        [("maxSize", "broken"), ("minSize", "clean")],
    ),
    Case(
        29,
        [Given(security_groups.SECURITY_GROUP, {"ingress": [_HTTPS]})],
        [
            ("ingress/0/cidrBlocks", ["10.0.0.0/8", "0.0.0.0/0"]),
            ("ingress/0/ipv6CidrBlocks", ["::/0"]),
        ],
        [("ingress", "waits"), ("ingress/0/cidrBlocks", "waits"), ("ingress/0/fromPort", "clean")],
        [("ingress", "clean")],
    ),
    Case(
        29,
        [Given(security_groups.DEFAULT_SECURITY_GROUP, {"ingress": [_HTTPS]})],
        [("ingress/0/cidrBlocks", ["0.0.0.0/0"])],
        [("ingress", "waits")],
        [("ingress", "clean")],
    ),
    Case(
        29,
        [Given(security_groups.SECURITY_GROUP_RULE, _OLD_RULE)],
        [("cidrBlocks", ["0.0.0.0/0"]), ("cidrBlocks", ["0.0.0.0/1"])],
        [("cidrBlocks", "waits"), ("type", "clean")],
        [("cidrBlocks", "clean")],
    ),
    Case(
        29,
        [Given(security_groups.INGRESS_RULE, {**_INGRESS_RULE, "tags": {"agent-fleet:public": "false"}})],
        [("cidrIpv4", "0.0.0.0/0"), ("cidrIpv6", "::/0")],
        [("cidrIpv4", "waits"), ("securityGroupId", "clean")],
        [("cidrIpv4", "clean")],
    ),
    Case(
        29,
        [
            Given(
                security_groups.INGRESS_RULE,
                {**_INGRESS_RULE, "cidrIpv4": "0.0.0.0/0", "tags": {"agent-fleet:public": "true"}},
            )
        ],
        [("fromPort", 22), ("ipProtocol", "-1"), ("tags", {})],
        [("tags", "waits"), ("fromPort", "waits")],
        [("tags", "broken"), ("toPort", "broken")],
    ),
    Case(
        30,
        [
            Given(security_groups.SECURITY_GROUP, {"name": "x"}, "fleet-untrusted"),
            Given(security_groups.EGRESS_RULE, _EGRESS_RULE, "out", {"securityGroupId": ["fleet-untrusted"]}),
        ],
        [("1:cidrIpv4", "0.0.0.0/0"), ("1:cidrIpv6", "::/0")],
        [("1:cidrIpv4", "waits"), ("1:securityGroupId", "clean")],
        [("1:cidrIpv4", "clean")],
    ),
    Case(
        30,
        [Given(security_groups.SECURITY_GROUP, {"egress": [_HTTPS]}, "fleet-sandboxes")],
        [("egress/0/cidrBlocks", ["0.0.0.0/0"])],
        [("egress", "waits")],
        [("egress", "clean")],
    ),
)
