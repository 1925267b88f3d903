"""Rules for who may do what in clusters and from their pods (EKS)."""

import fnmatch

from agent_fleet_policies.resource import Resource, Stack
from agent_fleet_policies.rule import (
    Findings,
    Option,
    Options,
    Severity,
    require,
    require_of,
    resource_rule,
    stack_rule,
)
from agent_fleet_policies.truth import decided, undecided

ACCESS_ENTRY = "aws:eks/accessEntry:AccessEntry"
ACCESS_POLICY = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
POD_IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
ADMIN_POLICIES = ("/AmazonEKSClusterAdminPolicy", "/AmazonEKSAdminPolicy")


@resource_rule(
    19,
    "eks-listed-admins",
    Severity.CRITICAL,
    ACCESS_POLICY,
    ACCESS_ENTRY,
    title="Only listed principals administer the cluster",
    reason="Cluster administrators read every secret and every tenant's work.",
    fix="Another access policy with the scope of namespaces, or the principal on the list.",
    source="CIS EKS 4.1.1",
    demands=("policyArn", "kubernetesGroups*"),
    options={"principals": Option((), "ARNs, with * for any part, that may administer clusters")},
)
def listed_admins(access: Resource, options: Options) -> Findings:
    """An access policy or a group that is administrator's, for somebody on the list. Who is on it may have any."""
    policy = access["policyArn"].fits(lambda arn: str(arn).endswith(ADMIN_POLICIES))
    groups = access["kubernetesGroups"].includes("system:masters")
    principal = access["principalArn"]
    listed = principal.fits(lambda arn: any(fnmatch.fnmatchcase(str(arn), each) for each in options["principals"]))
    yield require(~(policy | groups) | listed, principal, "it is not among those who may administer a cluster")


@stack_rule(
    20,
    "eks-own-pod-identity",
    Severity.HIGH,
    POD_IDENTITY,
    title="Each pod identity has a role of its own, and none is for `default`",
    reason="A shared role has everybody's rights; the account `default` is every pod's that names none.",
    fix="One role for each association, and a service account of its own.",
    source="CIS EKS 5.2.1",
)
def own_pod_identity(stack: Stack, options: Options) -> Findings:
    """Roles compared by what they came from, or by their ARN."""
    del options
    associations = stack.of(POD_IDENTITY)
    holders: dict[str, list[str]] = {}
    for each in associations:
        if (role := _role(each)) is not None:
            holders.setdefault(role, []).append(each.urn)
    for each in associations:
        account = each["serviceAccount"]
        yield require_of(each, ~account.one_of("default"), "it is for the service account `default`")
        role = _role(each)
        shared = undecided("roleArn") if role is None else decided(len(holders[role]) > 1)
        yield require_of(each, ~shared, "another pod identity has the same role")


def _role(association: Resource) -> str | None:
    known = association["roleArn"].text
    sources = association.references.get("roleArn", ())
    return known or (sources[0] if len(sources) == 1 else None)


RULES = (listed_admins, own_pod_identity)
