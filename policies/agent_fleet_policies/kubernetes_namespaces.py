"""Rules for namespaces: who may run in them, what they may reach, and how much."""

from collections.abc import Iterator

from agent_fleet_policies.networks import overlap, within
from agent_fleet_policies.resource import Resource, Stack, labelled
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
from agent_fleet_policies.truth import Truth, decided, some
from agent_fleet_policies.value import Value

NAMESPACE = "kubernetes:core/v1:Namespace"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
QUOTA = "kubernetes:core/v1:ResourceQuota"
LIMITS = "kubernetes:core/v1:LimitRange"
VPC = "aws:ec2/vpc:Vpc"
_METADATA = ("169.254.169.254/32", "169.254.170.23/32", "fd00:ec2::254/128", "fd00:ec2::23/128")


@resource_rule(
    57,
    "namespace-restricted",
    Severity.HIGH,
    NAMESPACE,
    title="Namespaces enforce `restricted`",
    reason="Whoever may make pods there could make a privileged one.",
    fix="The label pod-security.kubernetes.io/enforce: restricted.",
    source="PSS, Pod Security Admission",
    demands=("metadata.labels*", "metadata"),
)
def namespace_restricted(namespace: Resource, options: Options) -> Findings:
    """By the label that the admission reads."""
    del options
    level = namespace.labels.key("pod-security.kubernetes.io/enforce")
    yield require(level.one_of("restricted"), level, "restricted is wanted")


@stack_rule(
    58,
    "namespace-default-deny",
    Severity.CRITICAL,
    NAMESPACE,
    NETWORK_POLICY,
    VPC,
    title="Namespaces deny traffic both ways, and sandboxes reach neither metadata nor the VPC",
    reason="A pod that no policy covers talks to everything; the metadata service gives out the node's credentials.",
    fix="A NetworkPolicy for all pods with both types and no rule; ipBlocks with exceptions for sandboxes.",
    source="CIS EKS 4.3.2",
    options={
        "sandboxes": Option(("agent-fleet.purpose=sandboxes",), "labels that mark namespaces of sandboxes"),
        "forbidden": Option((), "further networks that no sandbox may reach, such as a VPC of another stack"),
    },
)
def default_deny(stack: Stack, options: Options) -> Findings:
    """A denial for each namespace, and no way around it for sandboxes."""
    forbidden: list[Value] = [Value(each) for each in (*_METADATA, *options["forbidden"])]
    forbidden += [each["cidrBlock"] for each in stack.of(VPC)]
    for namespace in stack.of(NAMESPACE):
        inside = stack.within(namespace["metadata.name"], NETWORK_POLICY)
        for direction in ("Ingress", "Egress"):
            denied = some(here & _denies(each, direction) for each, here in inside)
            yield require_of(namespace, denied, f"no NetworkPolicy denies its {direction.lower()} by default")
        sandboxes = labelled(namespace.labels, options["sandboxes"])
        for policy, here in inside:
            for finding in _egress(policy, forbidden):
                yield Finding(~(here & sandboxes) | finding.holds, finding.message, finding.urn)


def _denies(policy: Resource, direction: str) -> Truth:
    """Whether it covers every pod, and lets nothing through in this direction."""
    selector, rules = policy["spec.podSelector"], policy["spec"][direction.lower()]
    every_pod = ~selector["matchLabels"].given() & ~selector["matchExpressions"].given()
    types = policy["spec.policyTypes"]
    # Kubernetes' default: every policy is for what comes in.
    about = types.includes(direction) | decided(direction == "Ingress" and types.missing)
    return every_pod & about & ~rules.given()


def _egress(policy: Resource, forbidden: list[Value]) -> Iterator[Finding]:
    for rule in policy["spec.egress"].items():
        peers = rule["to"]
        yield require_of(policy, peers.given(), f"{rule.path} lets out to everywhere")
        for peer in peers.items():
            block = peer["ipBlock"]
            for network in forbidden:
                reached = _reaches(block, network)
                message = f"{block['cidr'].path} is {block['cidr'].shown()}, which reaches {network.shown()}"
                yield require_of(policy, ~reached, message)


def _reaches(block: Value, network: Value) -> Truth:
    touches = block["cidr"].fits(lambda cidr: network.unknown or overlap(cidr, network.text))
    left_out = some(
        each.fits(lambda text: network.text is not None and within(network.text, text))
        for each in block["except"].items()
    )
    return touches & ~left_out & network.fits(lambda _: True)


@stack_rule(
    59,
    "namespace-quota",
    Severity.MEDIUM,
    NAMESPACE,
    QUOTA,
    LIMITS,
    title="Namespaces have a quota and limits",
    reason="One tenant's flood of pods takes the cluster from all others.",
    fix="A ResourceQuota and a LimitRange in each namespace.",
    source="CIS EKS 5.5, Kubernetes multi-tenancy guide",
)
def quota(stack: Stack, options: Options) -> Findings:
    """One of each, with something in it."""
    del options
    for namespace in stack.of(NAMESPACE):
        name = namespace["metadata.name"]
        for token, content in ((QUOTA, "spec.hard"), (LIMITS, "spec.limits")):
            has = some(here & each[content].given() for each, here in stack.within(name, token))
            yield require_of(namespace, has, f"it has no {token.rpartition(':')[2]}")


RULES = (namespace_restricted, default_deny, quota)
