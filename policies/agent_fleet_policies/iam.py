"""Rules for identities and what they may do (IAM)."""

import fnmatch

from agent_fleet_policies import iam_actions
from agent_fleet_policies.documents import Statement, everything, grants, names, readable, statements
from agent_fleet_policies.resource import Resource
from agent_fleet_policies.rule import Finding, Findings, Option, Options, Severity, require, resource_rule
from agent_fleet_policies.truth import NO, Truth, every, some
from agent_fleet_policies.value import Value

ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
USER_POLICY = "aws:iam/userPolicy:UserPolicy"
GROUP_POLICY = "aws:iam/groupPolicy:GroupPolicy"
ATTACHMENT = "aws:iam/policyAttachment:PolicyAttachment"
ROLE_ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
USER_ATTACHMENT = "aws:iam/userPolicyAttachment:UserPolicyAttachment"
GROUP_ATTACHMENT = "aws:iam/groupPolicyAttachment:GroupPolicyAttachment"
ATTACHMENTS_EXCLUSIVE = "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive"
ACCESS_KEY = "aws:iam/accessKey:AccessKey"
POLICIES = (POLICY, ROLE_POLICY, USER_POLICY, GROUP_POLICY, ROLE)
ATTACHMENTS = (ATTACHMENT, ROLE_ATTACHMENT, USER_ATTACHMENT, GROUP_ATTACHMENT, ATTACHMENTS_EXCLUSIVE, ROLE)
WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"


def _documents(resource: Resource) -> list[Value]:
    """The documents that say what somebody may do."""
    if resource.type == ROLE:
        return [each["policy"] for each in resource["inlinePolicies"].items()]
    return [resource["policy"]]


def _no_wildcard_action(statement: Statement) -> Truth:
    wild = some(action.fits(everything) for action in statement.actions) | statement.value["NotAction"].given()
    return ~(statement.allows & wild)


@resource_rule(
    43,
    "iam-no-wildcard-action",
    Severity.CRITICAL,
    *POLICIES,
    title="No policy allows every action",
    reason="Whoever gets the identity gets the account.",
    fix="List the actions.",
    source="CKV_AWS_62, CKV_AWS_63",
)
def no_wildcard_action(policy: Resource, options: Options) -> Findings:
    """No `*`, and no list of what is left out."""
    del options
    for document in _documents(policy):
        yield require(readable(document), document, "a policy has to be a JSON document of IAM's elements")
        wanted = every(_no_wildcard_action(each) for each in statements(document))
        yield require(wanted, document, "it allows every action")


@resource_rule(
    44,
    "iam-no-wildcard-resource",
    Severity.HIGH,
    *POLICIES,
    title="No policy allows on every resource what could be allowed on some",
    reason="A worker that may read one queue would read everybody's.",
    fix="Name the resources. Actions that AWS knows no resource for are let through.",
    source="CKV_AWS_355",
    options={"actions": Option((), "further actions that may stand with the resource *, with * for any part")},
)
def no_wildcard_resource(policy: Resource, options: Options) -> Findings:
    """`*` only with actions that cannot be narrowed, or under a condition that narrows by tags."""
    let_through = (*iam_actions.NOT_NARROWABLE, *options["actions"])
    for document in _documents(policy):
        for statement in statements(document):
            every_one = some(each.fits(everything) for each in statement.value["Resource"].items())
            every_one |= statement.value["NotResource"].given()
            tagged = statement.condition(_by_tag, names)
            for action in statement.actions:
                narrow = action.fits(lambda text: any(_covered(str(text), each) for each in let_through))
                message = f"{action.shown()} is allowed on every resource; name them"
                yield Finding(~(statement.allows & every_one) | narrow | tagged, message)


def _by_tag(key: str) -> bool:
    return key.startswith("aws:requesttag/") or "resourcetag/" in key or key == "kms:viaservice"


def _covered(action: str, listed: str) -> bool:
    return fnmatch.fnmatchcase(action.lower(), listed.lower())


@resource_rule(
    45,
    "iam-no-escalation",
    Severity.CRITICAL,
    *POLICIES,
    title="No policy lets its holder become somebody else",
    reason="Who may write a policy or pass any role has every right of the account.",
    fix="Leave the action out, or name the one role or user that it is for.",
    source="CKV_AWS_286, CKV_AWS_287",
)
def no_escalation(policy: Resource, options: Options) -> Findings:
    """No action of the lists on a resource that says not which."""
    del options
    for document in _documents(policy):
        for statement in statements(document):
            everywhere = statement.allows & statement.everywhere
            for action in statement.actions:
                known = [name for name in iam_actions.ESCALATING if grants(action, name).yes]
                granted = some(grants(action, name) for name in iam_actions.ESCALATING)
                message = f"{action.shown()} on any resource allows {', '.join(known[:3]) or 'escalation'}"
                yield Finding(~(everywhere & granted), message)


@resource_rule(
    46,
    "iam-federated-trust",
    Severity.CRITICAL,
    ROLE,
    title="Trust names who is trusted, and federated trust its subject and audience",
    reason="Anybody with an account, or every repository of the same CI provider, could take the role.",
    fix="A principal by name; for a federated one conditions on the provider's :sub and :aud.",
    source="AWS IAM best practices, OIDC federation",
)
def federated_trust(role: Resource, options: Options) -> Findings:
    """Nobody is meant by a wildcard; of federated ones both conditions, and not for any subject."""
    del options
    trust = role["assumeRolePolicy"]
    yield require(readable(trust), trust, "a trust policy has to be a JSON document of IAM's elements")
    for statement in statements(trust):
        yield require(~(statement.allows & statement.anybody()), trust, "it trusts anybody")
        taken = some(grants(action, WEB_IDENTITY) for action in statement.actions)
        federated = statement.allows & (taken | statement.value["NotAction"].given())
        for suffix in ("sub", "aud"):
            named = statement.condition(lambda key, suffix=suffix: key.endswith(f":{suffix}"), names)
            yield require(~federated | named, trust, f"a condition on the provider's :{suffix} is missing")


@resource_rule(
    47,
    "iam-no-administrator",
    Severity.CRITICAL,
    *ATTACHMENTS,
    title="Nobody gets AdministratorAccess",
    reason="Whoever gets the identity gets the account.",
    fix="A policy with what is needed.",
    source="CKV_AWS_274",
)
def no_administrator(attachment: Resource, options: Options) -> Findings:
    """Neither attached nor named by the role."""
    del options
    names = ("policyArn", "policyArns", "managedPolicyArns")
    for each in (value for name in names for value in attachment[name].items()):
        holds = ~each.fits(lambda arn: str(arn).endswith(("policy/AdministratorAccess", "policy/IAMFullAccess")))
        yield require(holds, each, "it makes its holder administrator")


@resource_rule(
    48,
    "iam-no-access-keys",
    Severity.HIGH,
    ACCESS_KEY,
    title="There are no access keys",
    reason="A key lives until somebody thinks of it, in the state, in logs and in laptops.",
    fix="A role: OIDC for CI, Pod Identity in EKS, an instance profile on EC2.",
    source="AWS IAM best practices, temporary credentials",
)
def no_access_keys(key: Resource, options: Options) -> Findings:
    """None at all."""
    del options
    yield require(NO, key["user"], "no access key is wanted")


RULES = (
    no_wildcard_action, no_wildcard_resource, no_escalation, federated_trust, no_administrator, no_access_keys,
)  # fmt: skip
