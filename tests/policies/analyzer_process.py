"""The policy pack as a process, spoken to as the engine does: over gRPC, with properties as the engine sends them."""

import copy
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2 as messages
from pulumi.runtime.proto import analyzer_pb2_grpc

PACK = Path(__file__).parents[2] / "policies"
GATE = "not-judged"
MANDATORY, ADVISORY = messages.MANDATORY, messages.ADVISORY
_LEVELS = {"advisory": messages.ADVISORY, "mandatory": messages.MANDATORY, "disabled": messages.DISABLED}
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
# What the engine sends for an unknown bool, number, text, list, asset, archive, object.
SENTINELS: tuple[str, ...] = (
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
)
UNKNOWN = SENTINELS[2]


@dataclass
class Given:
    """A resource as a test has it."""

    type: str
    properties: dict[str, Any]
    name: str = "it"
    references: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Names of the resources that an input came from."""
    ignored: tuple[str, ...] = ()
    urn: str = ""
    sent: struct_pb2.Struct | None = field(default=None, compare=False, repr=False)

    def struct(self) -> struct_pb2.Struct:
        """The inputs as they are sent; made once, as whole stacks are sent often. They do not change from then on."""
        if self.sent is None:
            self.sent = struct_pb2.Struct()
            self.sent.update(self.properties)
        return self.sent

    def __post_init__(self) -> None:
        """A URN, where the test does not say which."""
        self.urn = self.urn or f"urn:pulumi:test::agent-fleet::{self.type}::{self.name}"


@dataclass(frozen=True)
class Said:
    """One diagnostic."""

    policy: str
    level: int
    urn: str
    message: str


def secret(value: Any) -> dict[str, Any]:
    """A value as the engine sends a secret."""
    return {_SIGNATURE: _SECRET, "value": value}


def copies(given: Sequence[Given]) -> list[Given]:
    """Resources of one's own, to be changed."""
    return [replace(each, properties=copy.deepcopy(each.properties), sent=None) for each in given]


def changed(given: Sequence[Given], path: str, value: Any) -> list[Given]:
    """The resources with one property changed, or taken away by `...`.

    `1:a/b/0` is in the second resource; where a name has a / itself, it is written %.
    """
    which, _, rest = path.rpartition(":") if path[:1].isdigit() and ":" in path else ("0", "", path)
    found = copies(given)
    *ahead, last = rest.split("/")
    last = last.replace("%", "/")
    inner: Any = found[int(which)].properties
    for name in (each.replace("%", "/") for each in ahead):
        if isinstance(inner, list):
            inner = cast(list[Any], inner)[int(name)]
        else:
            inner = cast(dict[str, Any], inner).setdefault(name, {})
    key: Any = int(last) if isinstance(inner, list) else last
    if value is ...:
        del inner[key]
    else:
        inner[key] = copy.deepcopy(value)
    return found


class Pack:
    """A running pack."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Speaks through this channel."""
        self.stub = analyzer_pb2_grpc.AnalyzerStub(channel)

    def configure(self, configuration: Mapping[str, Any] | None = None) -> None:
        """As the engine gives on what is in a configuration file. Raises grpc.RpcError where the pack refuses it."""
        request = messages.ConfigureAnalyzerRequest()
        for name, given in (configuration or {}).items():
            settings = {"enforcementLevel": given} if isinstance(given, str) else dict(given)
            request.policyConfig[name].enforcementLevel = _LEVELS[settings.pop("enforcementLevel", "mandatory")]
            request.policyConfig[name].properties.update(settings)
        self.stub.Configure(request)

    def info(self) -> Any:
        """What the pack says of itself."""
        return self.stub.GetAnalyzerInfo(empty_pb2.Empty())

    def judge(self, given: Sequence[Given], only: Sequence[str] | None = None) -> list[Said]:
        """One operation: each resource, then all of them. With `only` just the resources of these URNs are sent one by
        one, which says the same of them: rules for resources see no other."""
        self.stub.ConfigureStack(messages.AnalyzerStackConfigureRequest(stack="test", dry_run=True))
        urns = {each.name: each.urn for each in given}
        stack = messages.AnalyzeStackRequest()
        said: list[Said] = []
        for each in given:
            request = messages.AnalyzeRequest(type=each.type, urn=each.urn, name=each.name)
            request.properties.CopyFrom(each.struct())
            request.options.ignoreChanges.extend(each.ignored)
            if only is None or each.urn in only:
                said += _said(self.stub.Analyze(request), each.urn)
            resource = stack.resources.add(type=each.type, urn=each.urn, name=each.name)
            resource.properties.CopyFrom(request.properties)
            resource.options.CopyFrom(request.options)
            for name, sources in each.references.items():
                resource.propertyDependencies[name].urns.extend(urns.get(source, source) for source in sources)
        return said + _said(self.stub.AnalyzeStack(stack), "")


def _said(response: Any, urn: str) -> list[Said]:
    return [
        Said(each.policyName, each.enforcementLevel, each.urn or urn, each.message) for each in response.diagnostics
    ]


@contextmanager
def running() -> Generator[Pack]:
    """The pack, started as `pulumi-analyzer-policy-python` starts it."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", "."], cwd=PACK, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Pack(channel)
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()
