"""moto as an AWS account in this process, and the aws stand-in at work in it without an engine."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer

from engine.standins.aws import AwsStandIn
from engine.standins.engine_log import EngineLog
from engine.standins.standin import Call

REGION = "eu-central-1"


class RecordedLog(EngineLog):
    """Keeps what would be said to the engine's display."""

    def __init__(self) -> None:
        """Nothing said yet."""
        super().__init__("")
        self.said: list[str] = []

    def _send(self, severity: Any, message: str, urn: str, *, ephemeral: bool = False) -> None:
        del severity, urn, ephemeral
        self.said.append(message)


@dataclass
class Made:
    """A resource that the stand-in has made."""

    call: Call
    id: str
    inputs: dict[str, Any]
    outputs: Mapping[str, Any]


@dataclass
class Account:
    """An emulated account, and a provider for it."""

    url: str
    log: RecordedLog = field(default_factory=RecordedLog)
    provider: AwsStandIn = field(default_factory=AwsStandIn)

    def client(self, service: str) -> Any:
        """boto3's client, past the stand-in."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def make(self, token: str, name: str, /, **inputs: Any) -> Made:
        """Check and create, as the engine would; a fault of the inputs fails the test."""
        call = self._call(token, name)
        checked, failures = self.provider.check(call, {}, inputs)
        assert not failures, failures
        created = self.provider.create(call, checked)
        return Made(self._call(token, name, created.resource_id), created.resource_id, checked, created.outputs)

    def change(self, made: Made, **inputs: Any) -> Made:
        """Update it in place with these inputs beside its own."""
        new = {**made.inputs, **inputs}
        outputs = self.provider.update(made.call, made.inputs, made.outputs, new)
        return Made(made.call, made.id, new, outputs)

    def there(self, made: Made) -> bool:
        """Whether a refresh still finds it."""
        return bool(self.provider.read(made.call, made.inputs, made.outputs).resource_id)

    def remove(self, made: Made) -> None:
        """Delete it."""
        self.provider.delete(made.call, made.outputs)

    def _call(self, token: str, name: str, resource_id: str = "") -> Call:
        urn = f"urn:pulumi:test::probe::{token}::{name}"
        return Call(urn, token, name, self.log, threading.Event(), resource_id=resource_id)


@contextmanager
def account() -> Generator[Account]:
    """An empty account; what another test made in this process's moto is forgotten."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        requests.post(f"{url}/moto-api/reset", timeout=10).raise_for_status()
        made = Account(url)
        made.provider.configure(settings(url))
        yield made
    finally:
        server.stop()


def settings(url: str) -> dict[str, Any]:
    """The provider's settings, with the endpoints of what the emulator has."""
    names = (
        "autoscaling cloudwatch cloudwatchevents cloudwatchlogs ec2 ecr efs elasticache elb iam kms rds s3 "
        "secretsmanager sns sqs ssm sts"
    )
    return {"region": REGION, "endpoints": [dict.fromkeys(names.split(), url)]}
