"""A bucket for the state that was there before, and keeps other things too."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from engine.state_backend.bucket import account_id, ensure
from engine.state_backend.location import StateLocation

REGION = "eu-central-1"


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[StateLocation]:
    """A bucket's name in AWS itself as the command sees it; moto answers in this process."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield StateLocation("fleet-state", REGION)


def test_a_bucket_that_is_there_already_keeps_its_own_refusals_and_rules(real: StateLocation) -> None:
    """A bucket given by name would lose the statements that keep others out of it, and other things' lifetimes."""
    s3: Any = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket=real.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    own = {
        "Sid": "OnlyFromHere",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{real.bucket}/*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    }
    s3.put_bucket_policy(Bucket=real.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": own}))
    reports = {"ID": "reports", "Status": "Enabled", "Filter": {"Prefix": "reports/"}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(Bucket=real.bucket, LifecycleConfiguration={"Rules": [reports]})
    said: list[str] = []
    ensure(real, account_id(real), said.append)
    statements = json.loads(s3.get_bucket_policy(Bucket=real.bucket)["Policy"])["Statement"]
    assert [each["Sid"] for each in statements] == ["OnlyFromHere", "RefusePlainText"]
    rules = {each["ID"]: each for each in s3.get_bucket_lifecycle_configuration(Bucket=real.bucket)["Rules"]}
    assert set(rules) == {"reports", "old-versions"}
    assert rules["old-versions"]["Filter"]["Prefix"] == ".pulumi/"
    said.clear()
    ensure(real, account_id(real), said.append)
    assert said == []
