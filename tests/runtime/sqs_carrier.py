"""SQS as moto has it, in a process of its own, and doorbells over it."""

import json
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from doorbell_carriers import RETRY_SECONDS, TEMPLATE
from fleet_runtime.doorbell import Doorbell
from fleet_runtime.doorbell.aws_credentials import AwsCredentials
from fleet_runtime.doorbell.postgres import PostgresDoorbell
from fleet_runtime.doorbell.rings import Failures
from fleet_runtime.doorbell.sqs import SqsDoorbell
from fleet_runtime.doorbell.sqs_requests import SqsRequests
from runtime_processes import until

from tests.runtime.free_ports import free_port

REGION = "eu-west-1"


@dataclass
class SqsServer:
    """moto's SQS. It keeps its queues in memory, so that a killed one comes back without any."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def create(cls, log: Path) -> "SqsServer":
        """Start one."""
        port = free_port()
        return cls(port, cls._start(port, log), log)

    @staticmethod
    def _start(port: int, log: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(answers, seconds=90, what="moto's server")
        return process

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def restart(self) -> None:
        """Start it again, empty."""
        self.process = self._start(self.port, self.log)

    def call(self, action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Ask it as somebody with every right."""
        signature = (
            f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/sqs/aws4_request, SignedHeaders=host, Signature=0"
        )
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{action}",
            "Authorization": signature,
        }
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/", content=json.dumps(arguments), headers=headers, timeout=30
        )
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else {}


@dataclass
class SqsCarrier:
    """A queue on moto's SQS, with the database for what everybody is to hear."""

    server: SqsServer
    database_url: str
    name: str = field(default_factory=lambda: f"fleet-{uuid.uuid4().hex[:8]}")
    per_template: bool = True
    kind: str = "sqs"

    def __post_init__(self) -> None:
        """Make the queue."""
        self.revive_queue()

    def revive_queue(self, template: str = TEMPLATE) -> None:
        """Make the queue of a template, or the one of all."""
        name = f"{self.name}-{template}" if self.per_template else self.name
        self.server.call("CreateQueue", {"QueueName": name, "Attributes": {"VisibilityTimeout": "30"}})

    @property
    def queue_url(self) -> str:
        """As the roles are told it."""
        host = f"http://127.0.0.1:{self.server.port}/123456789012"
        return f"{host}/{self.name}-{{template}}" if self.per_template else f"{host}/{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """The kind, the queue and its region."""
        return {"DOORBELL": "sqs", "SQS_QUEUE_URL": self.queue_url, "SQS_REGION": REGION}

    def doorbell(self, *, failures: Failures | None = None, templates: Sequence[str] = (TEMPLATE,)) -> Doorbell:
        """Send and receive."""
        return self._doorbell(self.queue_url, failures, templates)

    def locked_out(self, failures: Failures) -> Doorbell:
        """For a queue that does not exist, since moto checks no signature."""
        return self._doorbell(f"{self.queue_url}-missing", failures, (TEMPLATE,))

    def _doorbell(self, url: str, failures: Failures | None, templates: Sequence[str]) -> SqsDoorbell:
        return SqsDoorbell(
            SqsRequests(REGION, AwsCredentials()),
            url,
            PostgresDoorbell(self.database_url, application_name="test-doorbell", retry_seconds=RETRY_SECONDS),
            templates=templates,
            retry_seconds=RETRY_SECONDS,
            failures=failures,
        )

    def kill(self) -> None:
        """SIGKILL."""
        self.server.kill()

    def revive(self) -> None:
        """Start it again, with the queue."""
        self.server.restart()
        self.revive_queue()

    def say(self, text: str) -> None:
        """SendMessage."""
        url = self.queue_url.replace("{template}", TEMPLATE)
        self.server.call("SendMessage", {"QueueUrl": url, "MessageBody": text})

    def waiting(self, template: str = TEMPLATE) -> int:
        """The rings in a queue, those that were received and not deleted among them."""
        attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = self.queue_url.replace("{template}", template)
        found = self.server.call("GetQueueAttributes", {"QueueUrl": url, "AttributeNames": attributes})
        return sum(int(found["Attributes"][name]) for name in attributes)


def aws_environment() -> dict[str, str]:
    """Credentials that moto takes."""
    return {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
