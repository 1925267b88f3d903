"""Runs a program under Pulumi's mocks and keeps what it declared, so that assertions run outside of every `apply`.

An assertion inside an `apply` on an unknown value never runs in a preview; here nothing is asserted inside of one.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
from aws_values import aws_resource
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

FLEET = "agent-fleet-test"
UNKNOWN = object()
"""In a preview: what only a real deployment could know."""


@dataclass(frozen=True)
class Declared:
    """One resource as the engine would have been told of it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    secret_inputs: frozenset[str]
    parent: str
    dependencies: tuple[str, ...]
    delete_before_replace: bool
    timeouts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Custom timeouts by `create`, `update` and `delete`, where there are any."""
    secret_paths: frozenset[str] = frozenset()
    """Where in the inputs secrets are, as `spec.template.x`; the names of `secret_inputs` and what is further in."""
    urn: str = ""
    dependency_urns: tuple[str, ...] = ()
    """As `dependencies`, told apart where resources of several types have one name."""
    protect: bool = False
    ignored_changes: tuple[str, ...] = ()
    property_urns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """The resources that an input's value came from, by the input."""


@dataclass
class Recording:
    """What a program declared, and what it returned."""

    resources: list[Declared] = field(default_factory=list[Declared])
    result: Any = None
    result_is_secret: Any = None

    def of_type(self, token: str) -> list[Declared]:
        """Every resource of a type."""
        return [each for each in self.resources if each.type == token]

    def containers(self) -> dict[str, Declared]:
        """The containers by role: api, database, sandboxd, worker, worker-2 ..."""
        found = self.of_type("docker:index/container:Container")
        return {each.inputs["name"].removeprefix(f"{FLEET}-"): each for each in found}

    def one(self, token: str, name: str) -> Declared:
        """The one resource of that type and name."""
        (found,) = [each for each in self.of_type(token) if each.name == name]
        return found


Deploy = Callable[..., Recording]
"""Deploys with the settings given as keywords."""


def digest(seed: str) -> str:
    """A digest that stands for an image in a mocked deployment."""
    return "sha256:" + seed.encode().hex().ljust(64, "0")[:64]


_COMPUTED: Mapping[str, Callable[[MockResourceArgs], dict[str, Any]]] = {
    "docker-build:index:Image": lambda args: {"digest": digest(args.name), "ref": args.name, "contextHash": "c"},
    "docker:index/remoteImage:RemoteImage": lambda args: {"imageId": digest(args.name), "repoDigest": "r"},
    "docker:index/network:Network": lambda _: {"driver": "bridge"},
    "docker:index/volume:Volume": lambda _: {"mountpoint": "/volumes"},
    "docker:index/container:Container": lambda args: {"hostname": args.name},
    "random:index/randomPassword:RandomPassword": lambda _: {"result": "Password" * 4, "bcryptHash": "h"},
    "random:index/randomBytes:RandomBytes": lambda args: {"hex": "ab" * int(args.inputs["length"]), "base64": "b"},
}


class _Provider(Mocks):
    def __init__(self, *, preview: bool) -> None:
        self._preview = preview

    def call(self, args: MockCallArgs) -> Any:
        raise AssertionError(f"the program called {args.token}: no component may call a provider while it runs")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:
            return "", {}
        if args.typ.startswith("kubernetes:"):
            # What an API server adds is of no use to a program: nothing may wait for a status.
            return "" if self._preview else f"{args.name}-id", dict(args.inputs)
        if args.typ.startswith("pulumi:providers:"):
            return f"{args.name}-id", dict(args.inputs)
        if args.typ.startswith("aws:"):
            return ("", dict(args.inputs)) if self._preview else aws_resource(args)
        if args.typ not in _COMPUTED:
            raise AssertionError(f"the program declared a {args.typ}, which no test knows")
        if self._preview:
            return "", dict(args.inputs)
        return f"{args.name}-id", {**args.inputs, **_COMPUTED[args.typ](args)}


class _Monitor(MockMonitor):
    def __init__(self, mocks: Mocks, recording: Recording) -> None:
        super().__init__(mocks)
        self._recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the method's name in the protocol
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
            self._recording.resources.append(
                Declared(
                    type=request.type,
                    name=request.name,
                    inputs={key: _plain(value) for key, value in inputs.items()},
                    secret_inputs=frozenset(key for key, value in inputs.items() if rpc.is_rpc_secret(value)),
                    parent=request.parent,
                    dependencies=tuple(urn.rsplit("::", 1)[1] for urn in request.dependencies),
                    delete_before_replace=request.deleteBeforeReplace,
                    timeouts={
                        name: value
                        for name in ("create", "update", "delete")
                        if (value := getattr(request.customTimeouts, name))
                    },
                    secret_paths=frozenset(_secret_paths(inputs)),
                    urn=response.urn,
                    dependency_urns=tuple(request.dependencies),
                    protect=request.protect,
                    ignored_changes=tuple(request.ignoreChanges),
                    property_urns={name: tuple(each.urns) for name, each in request.propertyDependencies.items()},
                )
            )
        return response


def record(program: Callable[[], Any], *, preview: bool, stack: str = "test") -> Recording:
    """Run the program under mocks. A value or an output that it returns is in `result` (UNKNOWN if it is unknown)."""
    recording = Recording()
    mocks = _Provider(preview=preview)
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(
        mocks, project="agent-fleet", stack=stack, preview=preview, monitor=_Monitor(mocks, recording)
    )

    @pulumi.runtime.test
    def run() -> Any:
        output: pulumi.Output[Any] = pulumi.Output.from_input(program())

        async def keep() -> None:
            recording.result_is_secret = await output.is_secret()
            recording.result = await output.future() if await output.is_known() else UNKNOWN

        return keep()

    run()
    return recording


def _secret_paths(value: Any, path: str = "") -> Iterator[str]:
    if rpc.is_rpc_secret(value):
        yield path
        value = rpc.unwrap_rpc_secret(value)
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        children = cast(dict[str, Any], value).items()
    elif isinstance(value, list):
        children = enumerate(cast(list[Any], value))
    for key, inner in children:
        yield from _secret_paths(inner, f"{path}.{key}" if path else str(key))


def _plain(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, pulumi.output.Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in cast(list[Any], value)]
    return value
