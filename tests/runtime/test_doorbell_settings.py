"""What a role accepts of its doorbell's settings, and where AWS credentials come from."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fleet_runtime.config import WorkerSettings
from fleet_runtime.doorbell.aws_credentials import AwsCredentials, NoCredentialsError
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

NOWHERE = "http://127.0.0.1:9/"
"""An address where nobody answers."""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own AWS."""
    for name in (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED"),
    ):
        monkeypatch.delenv(name, raising=False)


def worker(**given: str) -> WorkerSettings:
    """A worker's settings with these variables."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"FLEET_DATABASE_URL": "postgresql://x", **given}.items():
            patched.setenv(name, value)
        return WorkerSettings()  # pyright: ignore[reportCallIssue] - from the environment


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"FLEET_DOORBELL": "redis"}, "FLEET_REDIS_URL is not set"),
        ({"FLEET_DOORBELL": "sqs"}, "FLEET_SQS_QUEUE_URL is not set"),
        ({"FLEET_DOORBELL": "kafka"}, "'postgres', 'redis' or 'sqs'"),
        ({"FLEET_DOORBELL": "redis", "FLEET_REDIS_URL": "https://secret@host"}, "redis://user:password@host"),
        ({"FLEET_DOORBELL": "sqs", "FLEET_SQS_QUEUE_URL": "jobs"}, "must be a queue's URL"),
        ({"FLEET_DOORBELL": "sqs", "FLEET_SQS_QUEUE_URL": "http://127.0.0.1:5000/1/jobs"}, "set AWS_REGION"),
    ],
)
def test_a_doorbell_that_cannot_be_rung_is_refused_at_the_start(given: dict[str, str], said: str) -> None:
    """A fleet that only ever polls looks healthy, and is slow for a reason that nobody sees."""
    with pytest.raises(ValidationError) as refused:
        worker(**given)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "own", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/1/jobs", "", "eu-west-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/jobs-{template}", "eu-west-1", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/jobs", "", "cn-north-1"),
        ("https://vpce-1-2.sqs.ap-southeast-2.vpce.amazonaws.com/1/jobs", "", "ap-southeast-2"),
        ("http://127.0.0.1:5000/1/jobs", "eu-central-1", "eu-central-1"),
    ],
)
def test_the_region_is_the_urls_or_else_the_environments(url: str, own: str, region: str) -> None:
    """A signature for another region is refused by SQS with a message about a credential's scope."""
    given = {"FLEET_DOORBELL": "sqs", "FLEET_SQS_QUEUE_URL": url, **({"AWS_REGION": own} if own else {})}
    assert worker(**given).queue_region == region


class Endpoint:
    """What EKS Pod Identity's agent and an instance's metadata answer; `keys` are given out one after another."""

    def __init__(self) -> None:
        """Nothing asked yet."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.lasting = timedelta(hours=6)

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Answer a request, by what a real one would insist on."""
        self.asked.append((method, path, headers))
        given = sum(path.endswith(("/credentials", "/worker")) for _, path, _ in self.asked)
        document = {
            "Code": "Success",
            "AccessKeyId": f"key-{given}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": (datetime.now(UTC) + self.lasting).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if path == "/v1/credentials":
            return (200, json.dumps(document)) if headers.get("authorization") else (401, "")
        if method == "PUT" and path == "/latest/api/token":
            return 200, "session"
        if headers.get("x-aws-ec2-metadata-token") != "session":
            return 401, ""
        if path == "/latest/meta-data/iam/security-credentials/":
            return 200, "worker"
        return 200, json.dumps(document)


@contextmanager
def served(endpoint: Endpoint) -> Generator[str]:
    """Serve it; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, text = endpoint.answer(self.command, self.path, headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = _do  # noqa: N815 - the methods' names in the library

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


async def test_credentials_of_the_environment_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who tries the queue from a laptop has them there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert (await AwsCredentials(NOWHERE).current()).access_key == "own"


async def test_a_pods_identity_is_used_and_renewed_with_the_token_that_is_there_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kubernetes replaces the token every hour or so: one that was read at the start locks the pod out after a day."""
    endpoint, token = Endpoint(), tmp_path / "token"
    endpoint.lasting = timedelta(seconds=30)
    token.write_text("first")
    with served(endpoint) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        credentials = AwsCredentials(NOWHERE)
        assert (await credentials.current()).token == "token"
        token.write_text("second")
        before = len(endpoint.asked)
        await credentials.current()
        assert len(endpoint.asked) > before
    assert endpoint.asked[0][2]["authorization"] == "first"
    assert endpoint.asked[-1][2]["authorization"] == "second"


async def test_an_instance_is_asked_by_version_two_only() -> None:
    """Version one answers anybody who can make a server send a GET."""
    endpoint = Endpoint()
    with served(endpoint) as url:
        assert (await AwsCredentials(f"{url}/").current()).access_key.startswith("key-")
    assert endpoint.asked[0][:2] == ("PUT", "/latest/api/token")
    assert all(headers.get("x-aws-ec2-metadata-token") for _, _, headers in endpoint.asked[1:])


async def test_without_any_credentials_the_error_says_where_they_were_looked_for() -> None:
    """A pod whose association is missing must not send people to look at the queue."""
    with pytest.raises(NoCredentialsError, match="EKS Pod Identity"):
        await AwsCredentials(NOWHERE).current()


def test_every_doorbell_counts_its_failures_where_the_process_shows_its_metrics() -> None:
    """A doorbell that is down for a week costs every job half a second, and nobody would know."""
    from fleet_runtime.doorbell.choice import make_doorbell

    for given in (
        {},
        {"FLEET_DOORBELL": "redis", "FLEET_REDIS_URL": "redis://u:p@host"},
        {"FLEET_DOORBELL": "sqs", "FLEET_SQS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/jobs"},
    ):
        registry = CollectorRegistry()
        make_doorbell(worker(**given), role="worker", templates=["default"], registry=registry)
        assert "doorbell_failures" in {metric.name for metric in registry.collect()}
