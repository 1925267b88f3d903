"""The bucket and the key of the state against an emulated account, the settings file, and the locks."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto import mock_aws
from moto.server import ThreadedMotoServer
from parliament import analyze_policy_string

from engine.commands.session import Session
from engine.commands.state import bootstrap, unlock
from engine.errors import UserFacingError
from engine.paths import PROJECT, Paths
from engine.state_backend.bucket import account_id, default_bucket, ensure
from engine.state_backend.location import StateLocation, of_stack
from engine.state_backend.remote_state import RemoteState
from engine.state_backend.settings_text import with_bucket

REGION = "eu-central-1"
SETTINGS = """\
config:
  agent-fleet:fleet:
    architecture: queue
    target: ec2
    aws:
      region: eu-central-1
"""


@pytest.fixture(scope="module")
def _emulator() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def location(_emulator: str, monkeypatch: pytest.MonkeyPatch) -> StateLocation:
    """A bucket's name in an empty account, which AWS's tools in this process are led to."""
    requests.post(f"{_emulator}/moto-api/reset", timeout=10).raise_for_status()
    for name, value in {
        "AWS_ENDPOINT_URL": _emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    return StateLocation("fleet-state", REGION, _emulator)


def there(service: str, location: StateLocation) -> Any:
    """boto3's client, past the command."""
    return boto3.client(service, region_name=REGION, endpoint_url=location.endpoint or None)


def put_lock(location: StateLocation, **content: Any) -> None:
    """A lock as the engine writes it."""
    there("s3", location).put_object(
        Bucket=location.bucket,
        Key=f".pulumi/locks/organization/{PROJECT}/staging/0b8f.json",
        Body=json.dumps(content).encode(),
    )


def checkout(tmp_path: Path, text: str) -> Session:
    """A command on a stack of a checkout that has only its settings."""
    (tmp_path / "Pulumi.staging.yaml").write_text(text)
    return Session(Paths(tmp_path), "staging", 0.0)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[StateLocation]:
    """A bucket's name in AWS itself as the command sees it: no endpoint, TLS; moto answers in this process."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
    with mock_aws():
        yield StateLocation("fleet-state", REGION)


def test_the_bucket_keeps_versions_and_takes_nothing_public_or_in_plain_text(real: StateLocation) -> None:
    """A state holds every secret of a fleet."""
    said: list[str] = []
    ensure(real, account_id(real), said.append)
    s3, kms = there("s3", real), there("kms", real)
    assert s3.get_bucket_versioning(Bucket=real.bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=real.bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    key = kms.describe_key(KeyId=real.alias)["KeyMetadata"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key["Arn"]}
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]
    blocked = s3.get_public_access_block(Bucket=real.bucket)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    document = s3.get_bucket_policy(Bucket=real.bucket)["Policy"]
    (statement,) = json.loads(document)["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert analyze_policy_string(document).findings == []
    assert len(said) == 2


def test_a_second_run_changes_nothing_and_a_third_puts_right_what_somebody_changed(real: StateLocation) -> None:
    """A command that is safe to repeat is one that people do repeat."""
    said: list[str] = []
    ensure(real, account_id(real), said.append)
    said.clear()
    ensure(real, account_id(real), said.append)
    assert said == []
    s3 = there("s3", real)
    s3.put_bucket_versioning(Bucket=real.bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_policy(Bucket=real.bucket)
    ensure(real, account_id(real), said.append)
    assert said == ["Put right in the bucket fleet-state: versions, TLS."]
    assert len(there("kms", real).list_keys()["Keys"]) == 1


def test_a_bucket_of_another_account_is_refused(real: StateLocation) -> None:
    """Bucket names are everybody's: who has taken ours would be given the state."""
    role = "arn:aws:iam::111111111111:role/other"
    given = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    boto3.client(
        "s3",
        region_name=REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    ).create_bucket(Bucket=real.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    with pytest.raises(UserFacingError) as refused:
        ensure(real, account_id(real), lambda _: None)
    assert "does not own it" in refused.value.message
    assert "fleet.aws.state_bucket" in refused.value.remedy


def test_a_key_that_is_being_deleted_is_not_used(location: StateLocation) -> None:
    """What is encrypted under it would be lost with it."""
    ensure(location, account_id(location), lambda _: None)
    kms = there("kms", location)
    key = kms.describe_key(KeyId=location.alias)["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key)
    with pytest.raises(UserFacingError, match=r"PendingDeletion.*(?s:.*)cancel-key-deletion"):
        ensure(location, account_id(location), lambda _: None)


def test_without_credentials_it_says_how_to_give_them(
    location: StateLocation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """botocore's own error names neither the command nor a way out."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(UserFacingError, match=r"no AWS credentials.*(?s:.*)AWS_PROFILE"):
        account_id(location)


def test_a_stack_beside_the_project_has_no_bucket(tmp_path: Path) -> None:
    """The stack `local` must not need an account."""
    session = checkout(tmp_path, "config:\n  agent-fleet:fleet:\n    architecture: vm\n    target: docker\n")
    with pytest.raises(UserFacingError, match="stays beside the project"):
        bootstrap(session, None)
    assert session.location is None
    assert not session.deployed()


@pytest.mark.parametrize("url", ["https://s3.eu-central-1.amazonaws.com", "http://10.0.0.7:9000"])
def test_an_endpoint_elsewhere_is_no_place_for_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """AWS_ENDPOINT_URL left over in a shell would send the state to whoever answers there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(UserFacingError, match="an emulator on this machine"):
        bootstrap(checkout(tmp_path, SETTINGS), None)


@pytest.mark.parametrize(
    "text",
    [
        SETTINGS,
        SETTINGS + "    doorbell:\n      kind: sqs\n",
        SETTINGS.replace("aws:\n      region: eu-central-1", "aws: {region: eu-central-1}"),
        SETTINGS.replace("    aws:\n      region: eu-central-1\n", ""),
        SETTINGS.replace("    aws:\n      region: eu-central-1\n", "") + "  other:key: value\n# the end\n",
        SETTINGS.replace("    target", "    # a remark\n    target"),
        SETTINGS.rstrip("\n"),
    ],
)
def test_the_bucket_is_written_into_the_settings_and_all_else_stays(tmp_path: Path, text: str) -> None:
    """A settings file that loses its remarks is one that nobody lets a command write."""
    session = checkout(tmp_path, text)
    path = tmp_path / "Pulumi.staging.yaml"
    path.write_text(written := with_bucket(path, "fleet-state"))
    location = of_stack(session.paths, "staging")
    assert location is not None
    assert (location.bucket, location.region) == (
        "fleet-state",
        REGION if "region" in text else "eu-west-1",
    )
    assert [line for line in text.splitlines() if line.strip() not in written and "{" not in line] == []
    assert with_bucket(path, "another") == written


def test_urls_are_those_of_aws_unless_an_emulator_is_meant() -> None:
    """Single sign-on needs the second SDK, and an emulator's address only the first one takes."""
    real = StateLocation("b", REGION)
    assert real.backend_url == f"s3://b?region={REGION}&awssdk=v2"
    assert real.secrets_provider == f"awskms:///alias/b?region={REGION}&awssdk=v2"
    emulated = StateLocation("b", REGION, "http://127.0.0.1:5000")
    assert "s3ForcePathStyle=true" in emulated.backend_url
    assert "endpoint=http%3A%2F%2F127.0.0.1%3A5000" in emulated.secrets_provider
    assert default_bucket("1", REGION) == f"agent-fleet-state-1-{REGION}"


def test_a_checkpoint_on_s3_is_read_like_one_on_the_disk(location: StateLocation, tmp_path: Path) -> None:
    """`status` and `down` go by the state: one that they do not see is a fleet that runs on."""
    ensure(location, account_id(location), lambda _: None)
    assert not RemoteState(location, "staging", tmp_path / "mirror").exists()
    resource = {"urn": "urn:x::jobs", "type": "aws:sqs/queue:Queue", "id": "q", "custom": True}
    there("s3", location).put_object(
        Bucket=location.bucket,
        Key=f".pulumi/stacks/{PROJECT}/staging.json",
        Body=json.dumps({"version": 3, "checkpoint": {"latest": {"resources": [resource]}}}).encode(),
    )
    state = RemoteState(location, "staging", tmp_path / "mirror")
    assert state.exists()
    assert state.readable()
    assert state.holds("aws")
    assert (tmp_path / "mirror").stat().st_mode & 0o077 == 0
    there("s3", location).delete_object(Bucket=location.bucket, Key=f".pulumi/stacks/{PROJECT}/staging.json")
    assert not RemoteState(location, "staging", tmp_path / "mirror").exists()


def test_a_state_that_is_still_here_is_not_passed_over(tmp_path: Path, location: StateLocation) -> None:
    """A run that finds nothing in the bucket would make the whole fleet a second time."""
    session = checkout(tmp_path, SETTINGS + "      state_bucket: fleet-state\n")
    session.local_state.checkpoint.parent.mkdir(parents=True)
    session.local_state.checkpoint.write_text("{}")
    with pytest.raises(UserFacingError, match=r"still is here.*(?s:.*)make state-bootstrap STACK=staging"):
        _ = session.state
    del location


def test_a_lock_is_explained_and_goes_only_when_confirmed(
    location: StateLocation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two engines at once on one stack lose what one of them writes."""
    ensure(location, account_id(location), lambda _: None)
    session = checkout(tmp_path, SETTINGS + "      state_bucket: fleet-state\n")
    unlock(session, lambda _: pytest.fail("asked without a lock"))
    since = datetime.now(UTC) - timedelta(hours=3)
    put_lock(location, pid=4711, username="ada", hostname="runner-7", timestamp=since.isoformat())
    asked: list[str] = []

    def answer(*, reply: bool) -> Callable[[str], bool]:
        def given(question: str) -> bool:
            asked.append(question)
            return reply

        return given

    unlock(session, answer(reply=False))
    unlock(session, answer(reply=True))
    said = capsys.readouterr().out
    assert f"ada on runner-7, process 4711, since {since:%Y-%m-%d %H:%M:%S} UTC (3 hours ago)" in said
    assert asked == ["Remove this lock?"] * 2
    assert said.index("Nothing was removed.") < said.index("Removed. The next `make up STACK=staging`")
    unlock(session, answer(reply=True))
    assert len(asked) == 2


def test_a_lock_of_a_living_process_on_this_machine_stays(location: StateLocation, tmp_path: Path) -> None:
    """Who is asked would say yes."""
    ensure(location, account_id(location), lambda _: None)
    session = checkout(tmp_path, SETTINGS + "      state_bucket: fleet-state\n")
    living = threading.get_native_id()
    put_lock(location, pid=living, username="ada", hostname=socket.gethostname(), timestamp="nonsense")
    with pytest.raises(UserFacingError, match="not stale"):
        unlock(session, lambda _: True)


def test_a_lock_beside_the_project_and_a_damaged_one_can_be_cleared_too(tmp_path: Path) -> None:
    """The command would help with a bucket only, and a cut off file would end it."""
    session = checkout(tmp_path, SETTINGS)
    locks = session.paths.state / ".pulumi" / "locks" / "organization" / PROJECT / "staging"
    locks.mkdir(parents=True)
    (locks / "one.json").write_text("{")
    unlock(session, lambda _: True)
    assert not (locks / "one.json").exists()
