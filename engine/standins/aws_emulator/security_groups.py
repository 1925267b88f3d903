"""Security groups and their rules in the emulator."""

from collections.abc import Mapping
from typing import Any, cast

from engine.standins.aws_emulator.kind import Kind, Tagging

_TAGGING = Tagging("create_tags", "delete_tags", {"Resources": "id"})


def _permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    """One rule as the API has it, from a rule resource (`ipProtocol`) or a group's own (`protocol`)."""
    protocol = str(rule.get("ipProtocol") or rule.get("protocol") or "-1")
    permission: dict[str, Any] = {"IpProtocol": {"-1": "-1", "all": "-1"}.get(protocol, protocol)}
    if permission["IpProtocol"] != "-1":
        permission |= {"FromPort": int(rule["fromPort"]), "ToPort": int(rule["toPort"])}
    about = {"Description": rule["description"]} if rule.get("description") else {}

    def places(field: str, *names: str) -> list[dict[str, Any]]:
        found: list[Any] = []
        for name in names:
            value = rule.get(name)
            found += cast(list[Any], value) if isinstance(value, list) else [value] if value else []
        return [{field: value, **about} for value in found]

    for target, entries in {
        "IpRanges": places("CidrIp", "cidrIpv4", "cidrBlocks"),
        "Ipv6Ranges": places("CidrIpv6", "cidrIpv6", "ipv6CidrBlocks"),
        "PrefixListIds": places("PrefixListId", "prefixListId", "prefixListIds"),
        "UserIdGroupPairs": places("GroupId", "referencedSecurityGroupId", "securityGroups", "sourceSecurityGroupId"),
    }.items():
        if entries:
            permission[target] = entries
    return permission


def _authorise(direction: str) -> Any:
    def authorize_security_group(client: Any, inputs: Mapping[str, Any]) -> Any:
        call = getattr(client, f"authorize_security_group_{direction}")
        tags = [{"Key": key, "Value": str(value)} for key, value in (inputs.get("tags") or {}).items()]
        extra = {"TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": tags}]} if tags else {}
        return call(GroupId=inputs["securityGroupId"], IpPermissions=[_permission(inputs)], **extra)

    return authorize_security_group


def _close(client: Any, group: str, direction: str) -> None:
    """Take all rules of one direction away."""
    found = client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    rules = found["IpPermissions" if direction == "ingress" else "IpPermissionsEgress"]
    if rules:
        getattr(client, f"revoke_security_group_{direction}")(GroupId=group, IpPermissions=rules)


def _create_group(client: Any, inputs: Mapping[str, Any]) -> Any:
    tags = [{"Key": key, "Value": str(value)} for key, value in (inputs.get("tags") or {}).items()]
    extra = {"TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]} if tags else {}
    if inputs.get("vpcId"):
        extra["VpcId"] = inputs["vpcId"]
    description = inputs.get("description") or "Managed by Pulumi"
    answer = client.create_security_group(GroupName=inputs["name"], Description=description, **extra)
    # The rule to everywhere that EC2 gives each group; the official provider removes it too.
    _close(client, answer["GroupId"], "egress")
    return answer


def _own_rules(client: Any, known: Mapping[str, Any]) -> None:
    """The rules that stand in the group itself, where the program gives them there."""
    for direction in ("ingress", "egress"):
        rules = known.get(direction)
        if rules is not None and (rules or known.get("vpcId")):
            if not rules:
                continue
            _close(client, known["id"], direction)
            call = getattr(client, f"authorize_security_group_{direction}")
            call(GroupId=known["id"], IpPermissions=[_permission(rule) for rule in rules])


def _adopt_default(client: Any, inputs: Mapping[str, Any]) -> Any:
    filters = [{"Name": "vpc-id", "Values": [inputs["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    group = client.describe_security_groups(Filters=filters)["SecurityGroups"][0]
    for direction in ("ingress", "egress"):
        _close(client, group["GroupId"], direction)
    return group


def _rule(direction: str) -> Kind:
    return Kind(
        "ec2",
        _authorise(direction),
        "SecurityGroupRules[0].SecurityGroupRuleId",
        read="describe_security_group_rules",
        read_keys={"SecurityGroupRuleIds": "id"},
        found="SecurityGroupRules[0]",
        delete=f"revoke_security_group_{direction}",
        delete_keys={"GroupId": "securityGroupId", "SecurityGroupRuleIds": "id"},
        tagging=_TAGGING,
    )


KINDS = {
    "ec2/securityGroup": Kind(
        "ec2",
        _create_group,
        "GroupId",
        read="describe_security_groups",
        read_keys={"GroupIds": "id"},
        found="SecurityGroups[0]",
        delete="delete_security_group",
        delete_keys={"GroupId": "id"},
        tagging=_TAGGING,
        after=_own_rules,
    ),
    "ec2/defaultSecurityGroup": Kind(
        "ec2",
        _adopt_default,
        "GroupId",
        read="describe_security_groups",
        read_keys={"GroupIds": "id"},
        found="SecurityGroups[0]",
        tagging=_TAGGING,
        after=_own_rules,
    ),
    "vpc/securityGroupIngressRule": _rule("ingress"),
    "vpc/securityGroupEgressRule": _rule("egress"),
}
