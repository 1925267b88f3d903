"""The aws stand-in where an emulator of AWS answers, without an engine."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aws_account import REGION, Account, account, settings

from engine.standins.aws import AwsStandIn
from engine.standins.aws_emulator.endpoint import VARIABLE, Endpoints
from engine.standins.standin import OperationError

QUEUE = "aws:sqs/queue:Queue"
ASSUMED = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [ASSUMED]})


@pytest.fixture
def aws() -> Iterator[Account]:
    """An empty account."""
    with account() as made:
        yield made


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.eu-central-1.amazonaws.com",
        "http://10.0.0.7:5000",
        "http://127.0.0.1.example.org:5000",
        "http://localhost.example.org",
        "http://127.0.0.1@example.org",
        "file:///tmp/moto",
        "moto",
    ],
)
def test_an_endpoint_that_is_not_on_this_machine_is_refused(url: str) -> None:
    """A stand-in that reaches out could change what is real."""
    for config, environment, field in (
        ({"endpoints": [{"sqs": url}]}, {}, "endpoints.sqs"),
        ({"endpoints": json.dumps([{"sqs": url}])}, {}, "endpoints.sqs"),
        ({}, {VARIABLE: url}, VARIABLE),
    ):
        (failure,) = Endpoints(config, environment).failures()
        assert failure.path == field
        assert repr(url) in failure.reason
        assert "http://127.0.0.1" in failure.reason
    with pytest.raises(OperationError, match="not on this machine"):
        AwsStandIn().configure({"endpoints": [{"sqs": url}]})


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000"])
def test_an_endpoint_on_this_machine_serves_the_services_that_it_is_given_for(url: str) -> None:
    """One emulated service must not make all others try the network."""
    some = Endpoints({"endpoints": [{"sqs": url, "cloudwatchlogs": url, "iam": ""}]}, {})
    assert not some.failures()
    assert (some.of("sqs"), some.of("logs"), some.of("iam"), some.of("ec2")) == (url, url, None, None)
    assert Endpoints({}, {VARIABLE: url}).of("ec2") == url
    assert not Endpoints({}, {})


def test_the_run_says_that_it_is_an_emulator_and_where(aws: Account) -> None:
    """A run that looks like a deployment to AWS would be believed."""
    said = aws.provider.announcement
    assert aws.url in said
    assert "an emulator" in said
    assert "nothing is created in AWS" in said
    assert "state only" in AwsStandIn().announcement


def test_a_type_without_a_call_stays_in_the_state_and_says_so_once(aws: Account) -> None:
    """Somebody would look for the cluster in the emulator, and for the reason in vain."""
    inputs: dict[str, Any] = {"roleArn": "arn:aws:iam::1:role/x", "vpcConfig": {"subnetIds": ["a", "b"]}}
    for name in ("one", "two"):
        assert aws.there(aws.make("aws:eks/cluster:Cluster", name, name=name, **inputs))
    (said,) = aws.log.said
    assert said.startswith("aws:eks/cluster:Cluster is kept in the state only, and is not in the emulator")


def test_a_service_without_an_endpoint_stays_in_the_state() -> None:
    """Half an emulator must not send the other half to AWS."""
    with account() as aws:
        aws.provider.configure({"region": REGION, "endpoints": [{"iam": aws.url, "sts": aws.url}]})
        queue = aws.make(QUEUE, "jobs", name="jobs")
        assert queue.id.startswith("https://sqs.eu-central-1.amazonaws.com/")
        assert "its service has no endpoint" in aws.log.said[0]
        assert aws.client("sqs").list_queues().get("QueueUrls", []) == []


def test_what_the_program_says_is_what_the_queue_has(aws: Account) -> None:
    """A parameter under a wrong name would be left out, and nobody would know."""
    queue = aws.make(
        QUEUE, "jobs", name="jobs", visibilityTimeoutSeconds=70, receiveWaitTimeSeconds=20, tags={"fleet": "one"}
    )
    sqs = aws.client("sqs")
    found = sqs.get_queue_attributes(QueueUrl=queue.id, AttributeNames=["All"])["Attributes"]
    assert (found["VisibilityTimeout"], found["ReceiveMessageWaitTimeSeconds"]) == ("70", "20")
    assert queue.outputs["arn"] == found["QueueArn"]
    assert queue.outputs["messageRetentionSeconds"] == 345_600
    assert sqs.list_queue_tags(QueueUrl=queue.id)["Tags"] == {"fleet": "one"}

    policy = aws.make("aws:sqs/queuePolicy:QueuePolicy", "jobs", queueUrl=queue.id, policy=TRUST)
    queue = aws.change(queue, visibilityTimeoutSeconds=90, tags={"team": "a"})
    found = sqs.get_queue_attributes(QueueUrl=queue.id, AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "90"
    assert sqs.list_queue_tags(QueueUrl=queue.id)["Tags"] == {"team": "a"}
    assert aws.there(policy), "another attribute took the policy along"


def test_a_change_behind_the_stacks_back_is_seen_by_a_refresh(aws: Account) -> None:
    """A drift that no refresh shows is one that no run puts right."""
    queue = aws.make(QUEUE, "jobs", name="jobs", visibilityTimeoutSeconds=70)
    aws.client("sqs").set_queue_attributes(QueueUrl=queue.id, Attributes={"VisibilityTimeout": "5"})
    seen = aws.provider.read(queue.call, queue.inputs, queue.outputs)
    assert seen.inputs["visibilityTimeoutSeconds"] == 5
    aws.client("sqs").delete_queue(QueueUrl=queue.id)
    assert not aws.there(queue)
    aws.remove(queue)


def test_a_launch_template_gets_a_version_for_its_content_and_none_for_its_own_tags(aws: Account) -> None:
    """Every run that makes a version makes an instance refresh."""
    template = aws.make(
        "aws:ec2/launchTemplate:LaunchTemplate", "w", imageId="ami-1", updateDefaultVersion=True, tags={"a": "b"}
    )
    assert template.outputs["latestVersion"] == 1
    template = aws.change(template, tags={"a": "c"})
    assert template.outputs["latestVersion"] == 1
    template = aws.change(template, imageId="ami-2")
    assert (template.outputs["latestVersion"], template.outputs["defaultVersion"]) == (2, 2)
    (newest,) = aws.client("ec2").describe_launch_template_versions(LaunchTemplateId=template.id, Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ]
    assert newest["LaunchTemplateData"]["ImageId"] == "ami-2"


def test_what_the_emulator_refuses_is_told_without_a_stack_trace_and_leaves_nothing(aws: Account) -> None:
    """A half made resource that the state does not know is nobody's."""
    with pytest.raises(OperationError) as refused:
        aws.make("aws:iam/rolePolicy:RolePolicy", "worker", role="nobody", policy="{}")
    assert "aws:iam/rolePolicy:RolePolicy: the emulator refused put_role_policy: " in str(refused.value)
    assert "Traceback" not in str(refused.value)
    aws.make("aws:iam/role:Role", "worker", name="worker", assumeRolePolicy=TRUST)
    with pytest.raises(OperationError, match="EntityAlreadyExists"):
        aws.make("aws:iam/role:Role", "again", name="worker", assumeRolePolicy=TRUST)


def test_the_account_is_the_emulators(aws: Account) -> None:
    """A policy with another account in it would fit nothing that was made."""
    found = aws.provider.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})
    assert found["accountId"] == aws.client("sts").get_caller_identity()["Account"]
    vpc = aws.make("aws:ec2/vpc:Vpc", "net", cidrBlock="10.0.0.0/16")
    assert vpc.outputs["arn"] == f"arn:aws:ec2:{REGION}:{found['accountId']}:vpc/{vpc.id}"
    assert settings(aws.url)["region"] == REGION
