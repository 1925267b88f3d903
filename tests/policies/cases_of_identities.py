"""Cases of the rules for identities."""

from typing import Any

from agent_fleet_policies import iam
from analyzer_process import Given
from policy_case import Case, allow, document

_QUEUE = "arn:aws:sqs:eu-west-1:123456789012:jobs"
_TRUST = document(
    {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/token.example.com"},
        "Condition": {"StringEquals": {"token.example.com:sub": "repo:fleet:main", "token.example.com:aud": "sts"}},
    }
)


def _policy(*statements: dict[str, Any]) -> Given:
    return Given(iam.ROLE_POLICY, {"role": "worker", "policy": document(*statements)})


CASES = (
    Case(
        43,
        [_policy(allow("sqs:SendMessage", _QUEUE))],
        [("policy/Statement/0/Action", "*"), ("policy/Statement/0", {"Effect": "Allow", "NotAction": ["iam:*"]})],
        [("policy", "waits"), ("policy/Statement/0/Action", "waits"), ("policy/Statement", "waits")],
        [("policy", "clean")],
    ),
    Case(
        43,
        [
            Given(
                iam.ROLE,
                {
                    "assumeRolePolicy": document(),
                    "inlinePolicies": [{"policy": document(allow("sqs:SendMessage", _QUEUE))}],
                },
            )
        ],
        [("inlinePolicies/0/policy/Statement/0/Action", ["*"])],
        [("inlinePolicies", "waits")],
        [("inlinePolicies", "clean")],
    ),
    Case(
        44,
        [_policy(allow("sqs:SendMessage", _QUEUE), allow("sts:GetCallerIdentity"))],
        [
            ("policy/Statement/0/Resource", "*"),
            ("policy/Statement/1/Action", ["sts:GetCallerIdentity", "s3:GetObject"]),
        ],
        [("policy/Statement/0/Resource", "waits"), ("policy/Statement/1/Resource", "clean")],
        [("policy/Statement/0/Resource", "clean")],
    ),
    Case(
        44,
        [
            _policy(
                allow("autoscaling:SetDesiredCapacity", Condition={"StringEquals": {"aws:ResourceTag/fleet": "prod"}})
            )
        ],
        [("policy/Statement/0/Condition", {"StringLike": {"aws:ResourceTag/fleet": "*"}})],
        [("policy/Statement/0/Condition", "waits"), ("policy/Statement/0/Condition/StringEquals", "waits")],
        [("policy/Statement/0/Condition", "broken")],
    ),
    Case(
        45,
        [_policy(allow(["iam:PassRole"], "arn:aws:iam::123456789012:role/worker"))],
        [
            ("policy/Statement/0/Resource", "*"),
            ("policy/Statement/0/Resource", "arn:aws:iam::123456789012:role/*"),
            ("policy/Statement/0", allow("iam:*")),
            ("policy/Statement/0", allow("sts:Assume*")),
        ],
        [("policy", "waits"), ("policy/Statement/0/Resource", "waits"), ("policy/Statement/0/Action", "clean")],
        [("policy", "clean")],
    ),
    Case(
        46,
        [Given(iam.ROLE, {"assumeRolePolicy": _TRUST})],
        [
            ("assumeRolePolicy/Statement/0/Condition/StringEquals", {"token.example.com:aud": "sts"}),
            ("assumeRolePolicy/Statement/0/Condition/StringEquals", {"token.example.com:sub": "repo:fleet:main"}),
            (
                "assumeRolePolicy/Statement/0/Condition",
                {"StringLike": {"token.example.com:sub": "*", "token.example.com:aud": "sts"}},
            ),
        ],
        [("assumeRolePolicy", "waits"), ("assumeRolePolicy/Statement/0/Condition", "waits")],
        [("assumeRolePolicy/Statement/0/Condition", "broken")],
    ),
    Case(
        47,
        [Given(iam.ROLE_ATTACHMENT, {"role": "r", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"})],
        [("policyArn", "arn:aws:iam::aws:policy/AdministratorAccess")],
        [("policyArn", "waits"), ("role", "clean")],
        [("policyArn", "clean")],
    ),
    Case(
        47,
        [Given(iam.ROLE, {"assumeRolePolicy": "{}", "managedPolicyArns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"]})],
        [("managedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"])],
        [("managedPolicyArns", "waits")],
        [("managedPolicyArns", "clean")],
    ),
)
