"""EC2's metadata service and EC2 Auto Scaling's lifecycle calls, for many instances, over real HTTP.

As strict as the real ones: no item without a token that was given out, and no call that is not signed with the
instance's credentials or that differs from what botocore's own client would have sent.
"""

import json
import secrets
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import botocore.session
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.serialize import create_serializer
from fleet_runtime.doorbell import aws_credentials
from fleet_runtime.worker import instance_metadata

REGION = "eu-west-1"
GROUP, HOOK, LAUNCH_HOOK = "fleet-workers", "fleet-workers-drain", "fleet-workers-launch"
_SECRET = "only-for-tests"
_ERROR = (
    '<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type>'
    "<Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)


@dataclass
class Instance:
    """One instance: what its metadata service says, and what was called in its name."""

    id: str
    endpoint: str
    """Of its metadata service."""
    items: dict[str, str] = field(default_factory=dict[str, str])
    """What is below latest/meta-data beside what every instance has."""
    tokens: set[str] = field(default_factory=set[str])
    token_requests: int = 0
    waits_at_hook: bool = False
    heartbeats: int = 0
    completed: threading.Event = field(default_factory=threading.Event)
    waits_to_launch: bool = False
    launched: threading.Event = field(default_factory=threading.Event)
    failing_with: int | None = None
    """An HTTP status that every question is answered with."""

    def interrupt(self, seconds: float = 120) -> None:
        """Say that EC2 takes it back in so many seconds."""
        at = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.items["spot/instance-action"] = json.dumps({"action": "terminate", "time": at})

    def recommend_rebalance(self) -> None:
        """Say that an interruption is likely."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.items["events/recommendations/rebalance"] = json.dumps({"noticeTime": at})

    def target(self, state: str) -> None:
        """Have its Auto Scaling group move it to a state; one that terminates waits at the hook."""
        self.items["autoscaling/target-lifecycle-state"] = state
        self.waits_at_hook = state == "Terminated"

    def forget_tokens(self) -> None:
        """As after a stop and a start."""
        self.tokens.clear()


class EmulatedEc2:
    """All instances behind one address, each below a path of its own."""

    def __init__(self, url: str) -> None:
        """No instance yet."""
        self.url = url
        self.instances: dict[str, Instance] = {}
        self.problems: list[str] = []
        """What the real services would have refused, or botocore would not have sent."""
        self.refusing: tuple[int, str] | None = None
        """A status and a code that Auto Scaling answers every call with."""
        session: Any = botocore.session.get_session()
        self._model: Any = session.get_service_model("autoscaling")

    @property
    def autoscaling(self) -> str:
        """The address of EC2 Auto Scaling."""
        return f"{self.url}/autoscaling"

    def launch(self) -> Instance:
        """Return a new instance in service."""
        identifier = f"i-{secrets.token_hex(8)}"
        instance = Instance(identifier, f"{self.url}/{identifier}")
        instance.target("InService")
        self.instances[identifier] = instance
        return instance

    def environment(self, instance: Instance) -> dict[str, str]:
        """What a worker on the instance is told, without the prefix FLEET_."""
        return {
            "HOST_NOTICES": "imds",
            "METADATA_ENDPOINT": instance.endpoint,
            "AUTOSCALING_ENDPOINT": self.autoscaling,
            "LIFECYCLE_GROUP": GROUP,
            "LIFECYCLE_HOOK": HOOK,
        }

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Answer one request."""
        first, _, rest = path.removeprefix("/").partition("/")
        if first == "autoscaling":
            return self._act(headers, body)
        instance = self.instances[first]
        if instance.failing_with is not None:
            return instance.failing_with, ""
        if (method, rest) == ("PUT", "latest/api/token"):
            return self._token(instance, headers)
        if headers.get("x-aws-ec2-metadata-token") not in instance.tokens:
            return 401, ""
        return self._item(instance, rest.removeprefix("latest/meta-data/"))

    def _token(self, instance: Instance, headers: dict[str, str]) -> tuple[int, str]:
        if not 1 <= int(headers.get("x-aws-ec2-metadata-token-ttl-seconds", "0")) <= 21_600:
            return 400, ""
        if "x-forwarded-for" in headers:
            return 403, ""
        instance.token_requests += 1
        token = secrets.token_urlsafe(32)
        instance.tokens.add(token)
        return 200, token

    def _item(self, instance: Instance, item: str) -> tuple[int, str]:
        credentials = {
            "Code": "Success",
            "AccessKeyId": instance.id,
            "SecretAccessKey": _SECRET,
            "Token": "session",
            "Expiration": (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        items = {
            "instance-id": instance.id,
            "placement/region": REGION,
            "services/domain": "amazonaws.com",
            "iam/security-credentials/": "worker",
            "iam/security-credentials/worker": json.dumps(credentials),
            **instance.items,
        }
        return (200, items[item]) if item in items else (404, "")

    def _act(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        given = dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = given.get("Action", "")
        instance = self.instances[given["InstanceId"]]
        self._check(action, given, headers, body, instance)
        if self.refusing is not None:
            status, code = self.refusing
            return status, _ERROR.format(code=code, message="refused by the test")
        launching = given["LifecycleHookName"] == LAUNCH_HOOK
        if not (instance.waits_to_launch if launching else instance.waits_at_hook):
            message = f"No active Lifecycle Action found with instance ID {instance.id}"
            return 400, _ERROR.format(code="ValidationError", message=message)
        if action == "CompleteLifecycleAction" and launching:
            instance.waits_to_launch = False
            instance.launched.set()
        elif action == "CompleteLifecycleAction":
            instance.waits_at_hook = False
            instance.completed.set()
        else:
            instance.heartbeats += 1
        return 200, f"<{action}Response/>"

    def _check(
        self, action: str, given: dict[str, str], headers: dict[str, str], body: bytes, instance: Instance
    ) -> None:
        """Note what botocore's client would have done otherwise."""
        if action not in self._model.operation_names:
            self.problems.append(f"no such action: {action!r}")
            return
        parameters = {name: value for name, value in given.items() if name not in ("Action", "Version")}
        serializer: Any = create_serializer(self._model.protocol)
        would = serializer.serialize_to_request(parameters, self._model.operation_model(action))["body"]
        if would != given:
            self.problems.append(f"{action}: sent {given}, and botocore sends {would}")
        hook = given.get("LifecycleHookName")
        if given.get("AutoScalingGroupName") != GROUP or hook not in (HOOK, LAUNCH_HOOK):
            self.problems.append(f"{action}: another group or hook: {given}")
        signed = headers.get("authorization", "").partition("Signature=")
        if signed[2] != self._signature(signed[0], headers, body, instance):
            self.problems.append(f"{action}: the signature is wrong")

    def _signature(self, authorization: str, headers: dict[str, str], body: bytes, instance: Instance) -> str:
        names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        request = AWSRequest(
            method="POST",
            url=f"{self.autoscaling}/",
            data=body,
            headers={name: headers[name] for name in names if name in headers},
        )
        request.context["timestamp"] = headers.get("x-amz-date", "")
        signer: Any = SigV4Auth(Credentials(instance.id, _SECRET, "session"), "autoscaling", REGION)
        return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone: workers are killed here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def emulated_ec2() -> Generator[EmulatedEc2]:
    """Serve it until the end."""
    served: list[EmulatedEc2] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            status, text = served[0].answer(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = do_POST = _do  # noqa: N815 - the methods' names in the library

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    served.append(EmulatedEc2(f"http://127.0.0.1:{server.server_address[1]}"))
    thread = threading.Thread(target=server.serve_forever, name="emulated-ec2")
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patched:
            # It answers from a thread of the test's own process: on a busy machine later than a host's own service.
            patched.setattr(instance_metadata, "_TIMEOUT", httpx.Timeout(30.0))
            patched.setattr(aws_credentials, "_METADATA_SECONDS", 30)
            yield served[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
