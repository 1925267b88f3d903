"""What is written so that a rule looks past it: spelt otherwise, hidden, or excused by what asks nothing."""

import base64
import gzip
import json
from typing import Any

import grpc
import pytest
from agent_fleet_policies import compute, iam, messaging, pods, registry, storage
from agent_fleet_policies import kubernetes_others as others
from analyzer_process import Given, Pack, secret
from policy_case import allow, document

_ROLE = "arn:aws:iam::123456789012:role/worker"
_OIDC = {"Federated": "arn:aws:iam::123456789012:oidc-provider/token.example.com"}
_ASSET = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "export PASSWORD=hunter2222"}
_LEAK = b"#cloud-config\nwrite_files: [{content: 'DATABASE_PASSWORD=correct-horse'}]"
_CONTAINER = {"name": "it", "image": f"registry.example.com.evil.test/it@sha256:{'0' * 64}"}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _policy(policy: Any) -> Given:
    return Given(iam.ROLE_POLICY, {"role": "worker", "policy": policy})


def _trust(**more: Any) -> Given:
    taken = {"Effect": "Allow", "Action": iam.WEB_IDENTITY, "Principal": _OIDC}
    return Given(iam.ROLE, {"assumeRolePolicy": json.dumps(document({**taken, **more}))})


def _queue(**more: Any) -> Given:
    return Given(
        messaging.QUEUE_POLICY, {"policy": json.dumps(document(allow("sqs:SendMessage", Principal="*", **more)))}
    )


def _template(data: Any) -> Given:
    return Given(compute.LAUNCH_TEMPLATE, {"userData": data})


def _pod(**container: Any) -> Given:
    return Given(pods.POD, {"spec": {"containers": [{**_CONTAINER, **container}]}})


def _files(**statement: Any) -> list[Given]:
    denied = {
        "Effect": "Deny",
        "Action": "*",
        "Principal": "*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = {"fileSystemId": "fs-1", "policy": json.dumps(document({**denied, **statement}))}
    return [
        Given(storage.FILE_SYSTEM, {"encrypted": True, "kmsKeyId": "k"}, "files"),
        Given(storage.FILE_SYSTEM_POLICY, policy, "policy", {"fileSystemId": ["files"]}),
    ]


_SUBJECT = {"token.example.com:aud": "sts", "token.example.com:sub": "repo:fleet/fleet:ref:main"}
EVASIONS: dict[str, tuple[str, list[Given]]] = {
    "a name that stands twice in a document": (
        "iam-no-wildcard-action",
        [_policy('{"Statement": [{"Effect": "Allow", "Action": "*", "Action": "sqs:SendMessage", "Resource": "x"}]}')],
    ),
    "a misspelt element": (
        "iam-no-wildcard-action",
        [_policy('{"Statement": [{"Effect": "Allow", "action": "*", "Resource": "*"}]}')],
    ),
    "a misspelt effect": (
        "iam-no-wildcard-action",
        [_policy('{"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}')],
    ),
    "a document without statements": ("iam-no-wildcard-action", [_policy('{"statement": []}')]),
    "a document that is text": ("iam-no-wildcard-action", [_policy('"*"')]),
    "a document in an asset": ("iam-no-wildcard-action", [_policy(_ASSET)]),
    "a secret document": ("iam-no-wildcard-action", [_policy(secret(json.dumps(document(allow("*")))))]),
    "every action in other words": ("iam-no-wildcard-action", [_policy(document(allow(["?*:*"], _ROLE)))]),
    "every resource in other words": (
        "iam-no-wildcard-resource",
        [_policy(document(allow("sqs:SendMessage", ["arn:aws:sqs:*:*:*"])))],
    ),
    "every resource of a service": (
        "iam-no-wildcard-resource",
        [_policy(document(allow("s3:GetObject", "arn:aws:s3:::*")))],
    ),
    "every role by a short ARN": ("iam-no-escalation", [_policy(document(allow("iam:PassRole", "arn:aws:iam::*")))]),
    "every role by two wildcards": (
        "iam-no-escalation",
        [_policy(document(allow("iam:PassRole", "arn:aws:iam::123456789012:role/?*")))],
    ),
    "a tag that may be any": (
        "iam-no-wildcard-resource",
        [_policy(document(allow("s3:GetObject", Condition={"StringLike": {"aws:ResourceTag/fleet": "**"}})))],
    ),
    "a tag that may be missing": (
        "iam-no-wildcard-resource",
        [_policy(document(allow("s3:GetObject", Condition={"StringEqualsIfExists": {"aws:ResourceTag/fleet": "x"}})))],
    ),
    "a subject that must not be one": (
        "iam-federated-trust",
        [_trust(Condition={"StringNotEquals": _SUBJECT})],
    ),
    "subjects that need not be there": (
        "iam-federated-trust",
        [_trust(Condition={"ForAllValues:StringLike": _SUBJECT})],
    ),
    "a subject of any repository": (
        "iam-federated-trust",
        [_trust(Condition={"StringLike": {**_SUBJECT, "token.example.com:sub": "repo:*/*:ref:refs/heads/main"}})],
    ),
    "trust in anybody": ("iam-federated-trust", [_trust(Action="sts:AssumeRole", Principal={"AWS": "*"})]),
    "trust in all actions but one": ("iam-federated-trust", [_trust(Action=[], NotAction="iam:PassRole")]),
    "a queue for any account": (
        "sqs-no-public-policy",
        [_queue(Condition={"StringLike": {"aws:PrincipalAccount": "*"}})],
    ),
    "a queue for all accounts but one": (
        "sqs-no-public-policy",
        [_queue(Condition={"StringNotEquals": {"aws:PrincipalAccount": "123456789012"}})],
    ),
    "a queue for any source": (
        "sqs-no-public-policy",
        [_queue(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}})],
    ),
    "every action of queues in other words": (
        "sqs-no-public-policy",
        [Given(messaging.QUEUE_POLICY, {"policy": json.dumps(document(allow("Sqs:?*", Principal=_OIDC)))})],
    ),
    "a dead-letter policy without a queue": (
        "sqs-dead-letters",
        [Given(messaging.QUEUE, {"name": "jobs", "redrivePolicy": '{"maxReceiveCount": 5}'})],
    ),
    "a denial of one action": ("efs-transport", _files(Action="elasticfilesystem:ClientRootAccess")),
    "a denial for one principal": ("efs-transport", _files(Principal={"AWS": _ROLE})),
    "a denial of what is encrypted": (
        "efs-transport",
        _files(Condition={"Bool": {"aws:SecureTransport": ["false", "true"]}}),
    ),
    "a public address by a number": (
        "ec2-no-public-address",
        [Given(compute.LAUNCH_TEMPLATE, {"networkInterfaces": [{"associatePublicIpAddress": "1"}]})],
    ),
    "user data in an asset": ("ec2-template-no-secrets", [_template(_ASSET)]),
    "a packed file inside of user data": (
        "ec2-template-no-secrets",
        [
            _template(
                _encoded(b"#cloud-config\nwrite_files: [{content: " + _encoded(gzip.compress(_LEAK)).encode() + b"}]")
            )
        ],
    ),
    "user data behind a megabyte of nothing": (
        "ec2-template-no-secrets",
        [_template(_encoded(gzip.compress(b" " * (2 << 20) + _LEAK)))],
    ),
    "a registry whose name goes on": ("pod-image-digest", [_pod()]),
    "a key in a harmless variable": (
        "pod-environment-and-probes",
        [_pod(env=[{"name": "GREETING", "value": "-----BEGIN PRIVATE KEY-----"}])],
    ),
    "an older kind of workload": (
        "pod-restricted",
        [Given("kubernetes:core/v1:ReplicationController", {"spec": {"template": {"spec": {"hostNetwork": True}}}})],
    ),
    "the kubelet by a wildcard": (
        "rbac-no-escalation",
        [Given(others.CLUSTER_ROLE, {"rules": [{"apiGroups": [""], "resources": ["*/proxy"], "verbs": ["get"]}]})],
    ),
    "a moving tag that covers more": (
        "ecr-immutable-tags",
        [
            Given(
                registry.REPOSITORY,
                {
                    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                    "imageTagMutabilityExclusionFilters": [{"filter": "l*"}],
                },
            )
        ],
    ),
    "a key's copy for everybody": (
        "kms-rotation",
        [Given("aws:kms/replicaKey:ReplicaKey", {"policy": json.dumps(document(allow("kms:*", Principal="*")))})],
    ),
}


@pytest.mark.parametrize("name", EVASIONS)
def test_what_is_written_to_be_looked_past_is_reported(pack: Pack, name: str) -> None:
    """Whoever wants past a rule tries just this."""
    rule, given = EVASIONS[name]
    pack.configure({"pod-image-digest": {"registries": ["registry.example.com"]}})
    assert rule in {each.policy for each in pack.judge(given)}


@pytest.mark.parametrize(
    ("condition", "fine"),
    [
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:eu-west-1:123456789012:jobs"}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": ["o-1234567890"]}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": ["o-1234567890", "*"]}}, False),
    ],
)
def test_a_condition_that_names_somebody_is_one(pack: Pack, condition: dict[str, Any], fine: bool) -> None:
    """AWS's own services send as everybody, with their source as the condition."""
    assert (pack.judge([_queue(Condition=condition)]) == []) == fine


@pytest.mark.parametrize(
    "configuration",
    [
        {"sqs-encrypted": {"exceptions": [{"resource": each, "reason": "for now it is so", "expires": "2027-01-31"}]}}
        for each in ("*", "urn:*", "*:*", "urn:pulumi:*", "*u*")
    ]
    + [
        {
            "not-judged": {
                "allowed": [{"rule": "iam-*", "type": "aws:x", "path": "policy", "reason": "made later on"} | each]
            }
        }
        for each in ({"rule": "*"}, {"type": "**"}, {"path": "*"})
    ],
)
def test_what_would_excuse_everything_is_refused(pack: Pack, configuration: dict[str, Any]) -> None:
    """One line of configuration would switch a rule off, or the gate, and the report show it as on."""
    with pytest.raises(grpc.RpcError, match="not all of them"):
        pack.configure(configuration)
