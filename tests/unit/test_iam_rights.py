"""What the hosts' roles must and must not be able to do: called, where moto enforces it, and by resource."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count
from moto.iam.access_control import IAMPolicy, PermissionResult
from recording import FLEET
from test_iam_documents import identity_policies

REGION = "eu-central-1"
ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Call:
    """One call of an API."""

    service: str
    operation: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


def on_queue(operation: str, **given: Any) -> Call:
    """A call about the queue."""
    return Call("sqs", operation, {"QueueUrl": f"https://sqs.{REGION}.amazonaws.com/123456789012/jobs", **given})


SEND, RECEIVE = on_queue("send_message", MessageBody="ring"), on_queue("receive_message")
DELETE, PURGE, DROP = on_queue("delete_message", ReceiptHandle="x"), on_queue("purge_queue"), on_queue("delete_queue")
READ_SECRET = Call("secretsmanager", "get_secret_value", {"SecretId": "fleet"})
WRITE_SECRET = Call("secretsmanager", "put_secret_value", {"SecretId": "fleet", "SecretString": "x"})
LIST_SECRETS = Call("secretsmanager", "list_secrets")
LOG_IN = Call("ecr", "get_authorization_token")
PULL = Call("ecr", "batch_get_image", {"repositoryName": "runtime", "imageIds": [{"imageTag": "a"}]})
PUSH = Call("ecr", "put_image", {"repositoryName": "runtime", "imageManifest": "{}"})
LOG = Call("logs", "create_log_stream", {"logGroupName": "fleet", "logStreamName": "one"})
FORGET_LOGS = Call("logs", "delete_log_group", {"logGroupName": "fleet"})
SCALE = Call("autoscaling", "set_desired_capacity", {"AutoScalingGroupName": "w", "DesiredCapacity": 50})
START = Call("ec2", "run_instances", {"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1})
SHUT = Call("ec2", "terminate_instances", {"InstanceIds": ["i-1234567890abcdef0"]})
GRANT = Call("iam", "put_role_policy", {"RoleName": "host", "PolicyName": "more", "PolicyDocument": "{}"})
BECOME = Call("iam", "create_access_key", {"UserName": "administrator"})
BUCKETS, KEYS = Call("s3", "list_buckets"), Call("kms", "list_keys")

EVERY_HOST: list[Call] = [LOG_IN, PULL, READ_SECRET, LOG]
NO_HOST: list[Call] = [
    PURGE, DROP, WRITE_SECRET, LIST_SECRETS, PUSH, FORGET_LOGS, SCALE, START, SHUT, GRANT, BECOME, BUCKETS, KEYS,
]  # fmt: skip
ROLES: dict[tuple[str, str], tuple[list[Call], list[Call]]] = {
    ("staging", f"{FLEET}-api"): ([*EVERY_HOST, SEND], [*NO_HOST, RECEIVE, DELETE]),
    ("staging", f"{FLEET}-workers"): ([*EVERY_HOST, SEND, RECEIVE, DELETE], NO_HOST),
    ("dev", FLEET): (EVERY_HOST, [*NO_HOST, SEND, RECEIVE]),
}


def widened(document: Mapping[str, Any]) -> str:
    """The same actions on everything: moto is told no resource of a call, and knows no conditions of an action."""
    statements = [
        {**{key: value for key, value in each.items() if key != "Condition"}, "Resource": "*"}
        for each in document["Statement"]
    ]
    return json.dumps({**document, "Statement": statements})


@pytest.fixture
def account() -> Iterator[None]:
    """An account of moto in this process."""
    with mock_aws():
        yield


def as_role(document: Mapping[str, Any]) -> Callable[[str], Any]:
    """Clients of whoever has assumed a role with these rights."""
    given = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    iam = boto3.client("iam", **given)
    arn = iam.create_role(RoleName="host", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    iam.put_role_policy(RoleName="host", PolicyName="own", PolicyDocument=widened(document))
    boto3.client("sqs", **given).create_queue(QueueName="jobs")
    assumed = boto3.client("sts", **given).assume_role(RoleArn=arn, RoleSessionName="host")["Credentials"]

    def client(service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
        )

    return client


def refused(call: Call, aws: Callable[[str], Any]) -> bool:
    """Whether the account refuses the caller; any other answer, or none of moto's, means that it does not."""
    try:
        getattr(aws(call.service), call.operation)(**call.arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    except NotImplementedError:
        return False
    return False


@pytest.mark.parametrize(("stack", "role"), ROLES)
def test_a_role_can_call_what_its_programs_call_and_nothing_that_would_be_somebody_elses(
    stack: str, role: str, account: None
) -> None:
    """A right too few fails on the first host, and one too many with the first intruder."""
    aws = as_role(identity_policies(stack)[role])
    must, must_not = ROLES[stack, role]

    @set_initial_no_auth_action_count(0)
    def judged() -> tuple[list[bool], list[bool]]:
        return [refused(call, aws) for call in must], [refused(call, aws) for call in must_not]

    needed, forbidden = judged()
    assert [call for call, no in zip(must, needed, strict=True) if no] == []
    assert [call for call, no in zip(must_not, forbidden, strict=True) if not no] == []


def may(document: Mapping[str, Any], action: str, resource: str) -> bool:
    """Whether the document allows the action on the resource, by moto's own reading of it."""
    statements = [{key: value for key, value in each.items() if key != "Condition"} for each in document["Statement"]]
    policy = IAMPolicy(json.dumps({**document, "Statement": statements}))
    return policy.is_action_permitted(action, resource) == PermissionResult.PERMITTED


def test_a_host_reaches_its_own_queue_and_neither_the_dead_letters_nor_anothers() -> None:
    """One fleet's worker would take another's rings, and its API flood them."""
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{FLEET}-jobs"
    policies = identity_policies("staging")
    for role, actions in ((f"{FLEET}-api", ["Send"]), (f"{FLEET}-workers", ["Send", "Receive", "Delete"])):
        for action in actions:
            allowed = [
                may(policies[role], f"sqs:{action}Message", arn)
                for arn in (queue, f"{queue}-dead-letters", queue.replace(FLEET, "another"))
            ]
            assert allowed == [True, False, False], (role, action)


@pytest.mark.parametrize(("stack", "role"), ROLES)
def test_a_host_reads_its_own_secret_and_writes_its_own_logs_alone(stack: str, role: str) -> None:
    """What one kind of host knows, the other need not: workers run strangers' code next door."""
    document = identity_policies(stack)[role]
    own = {str(each["Sid"]): each["Resource"] for each in document["Statement"]}
    for sid, action in (("ReadOwnSecrets", "secretsmanager:GetSecretValue"), ("WriteOwnLogs", "logs:PutLogEvents")):
        # moto knows this service by its signing name, and so cannot be asked by a call.
        assert may(document, "cloudwatch:PutMetricData", "*")
        for arn in own[sid]:
            assert may(document, action, arn)
            assert FLEET in arn
        for others, theirs in identity_policies("staging").items():
            for each in theirs["Statement"]:
                if each.get("Sid") == sid and others != role:
                    assert not may(document, action, each["Resource"][0]), others


def test_workers_complete_the_hooks_of_their_own_groups_alone() -> None:
    """A worker that could end another group's wait would kill its jobs."""
    document = identity_policies("staging")[f"{FLEET}-workers"]
    group = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:0a1b:autoScalingGroupName"
    for action in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"):
        allowed = [
            may(document, f"autoscaling:{action}", f"{group}/{name}")
            for name in (f"{FLEET}-workers-spot", f"{FLEET}-workers-on-demand", f"{FLEET}-api", "another-workers-spot")
        ]
        assert allowed == [True, True, False, False], action
