"""Rules for what may connect to hosts, and whereto sandboxes may."""

import fnmatch

from agent_fleet_policies.networks import open_to_the_world
from agent_fleet_policies.resource import Resource, Stack
from agent_fleet_policies.rule import (
    Finding,
    Findings,
    Option,
    Options,
    Severity,
    require,
    require_of,
    resource_rule,
    stack_rule,
)
from agent_fleet_policies.truth import NO, YES, Truth, decided, some, undecided
from agent_fleet_policies.value import Value

SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_SECURITY_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
SECURITY_GROUP_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
GROUPS = (SECURITY_GROUP, DEFAULT_SECURITY_GROUP)


@resource_rule(
    29,
    "network-no-open-ingress",
    Severity.CRITICAL,
    *GROUPS,
    SECURITY_GROUP_RULE,
    INGRESS_RULE,
    title="Nothing is open to the world but a TLS listener that is declared public",
    reason="Whatever listens is found within minutes.",
    fix="Name networks or security groups; for a public listener: port 443 and the tag that declares it.",
    source="CKV_AWS_24, 25, 260, 277",
    options={
        "tls_ports": Option(("443",), "ports of public listeners"),
        "public_tags": Option(("agent-fleet:public",), "tags whose value `true` declares a listener public"),
    },
)
def no_open_ingress(resource: Resource, options: Options) -> Findings:
    """In each of the four kinds of resource that open a port."""
    public = some(resource["tags"].key(tag).on() for tag in options["public_tags"])
    blocks, is_ingress = [resource.properties], YES
    if resource.type in GROUPS:
        blocks = resource["ingress"].items()
    elif resource.type == SECURITY_GROUP_RULE:
        is_ingress = resource["type"].one_of("ingress")
    for block in blocks:
        listener = public & _only(block, [float(port) for port in options["tls_ports"]])
        for cidr in _cidrs(block):
            yield require(~is_ingress | ~cidr.fits(open_to_the_world) | listener, cidr, "this is everybody")


def _cidrs(block: Value) -> list[Value]:
    names = ("cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6")
    found = {each.path: each for name in names for each in block[name].items()}
    return list(found.values())


def _only(block: Value, ports: list[float]) -> Truth:
    first, last = block["fromPort"], block["toPort"]
    protocol = block["protocol"] if not block["protocol"].missing else block["ipProtocol"]
    one_port = first.fits(lambda _: first.number in ports) & last.fits(lambda _: last.number in ports)
    return one_port & protocol.fits(lambda name: str(name).lower() in ("tcp", "6"))


@stack_rule(
    30,
    "network-no-open-egress",
    Severity.HIGH,
    *GROUPS,
    SECURITY_GROUP_RULE,
    EGRESS_RULE,
    title="Hosts of sandboxes reach no address of the internet",
    reason="What a sandbox steals leaves through the host, past the proxy that judges its requests.",
    fix="Egress to named groups, networks or prefix lists.",
    source="CKV_AWS_382",
    options={"groups": Option(("*untrusted*", "*sandbox*"), "names of security groups that sandboxes' hosts have")},
)
def no_open_egress(stack: Stack, options: Options) -> Findings:
    """Of groups that are marked by their name, whichever resource opens it."""
    groups = stack.of(*GROUPS)
    marked = {
        group.urn: decided(any(fnmatch.fnmatchcase(group.name, each) for each in options["groups"])) for group in groups
    }
    for group in groups:
        for block in group["egress"].items():
            yield from _egress(group, block, marked[group.urn])
    for rule in stack.of(SECURITY_GROUP_RULE, EGRESS_RULE):
        is_egress = rule["type"].one_of("egress") if rule.type == SECURITY_GROUP_RULE else YES
        yield from _egress(rule, rule.properties, is_egress & _of_marked(stack, rule, groups, marked))


def _of_marked(stack: Stack, rule: Resource, groups: list[Resource], marked: dict[str, Truth]) -> Truth:
    if rule["securityGroupId"].unknown and not rule.references.get("securityGroupId"):
        return undecided("securityGroupId")
    found = NO
    for group in groups:
        found |= marked[group.urn] & stack.refers(rule, "securityGroupId", group, "id")
    return found


def _egress(resource: Resource, block: Value, applies: Truth) -> list[Finding]:
    return [
        require_of(
            resource, ~applies | ~cidr.fits(open_to_the_world), f"{cidr.path} is {cidr.shown()}; this is the internet"
        )
        for cidr in _cidrs(block)
    ]


RULES = (no_open_ingress, no_open_egress)
