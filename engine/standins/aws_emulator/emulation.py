"""A stand-in's side of the emulator: which resources are made there, and what of the answers goes into the state."""

import threading
from collections.abc import Mapping
from typing import Any

import jmespath

from engine.standins import sdk_types
from engine.standins.aws_emulator.calls import EmulatedResource
from engine.standins.aws_emulator.endpoint import Clients, Endpoints
from engine.standins.aws_emulator.shapes import plain
from engine.standins.aws_emulator.table import KINDS
from engine.standins.aws_identifiers import ACCOUNT, kind
from engine.standins.sdk_annotations import Shape, ShapeKind
from engine.standins.standin import Call, OperationError
from engine.standins.values import reveal

_INTEGER = "integer"
_SCALARS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    _INTEGER: (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_TAGS = frozenset({"tags", "tagsAll"})


class Emulation:
    """The resources of one provider that an emulator holds."""

    def __init__(self, endpoints: Endpoints) -> None:
        """Nothing is asked of the emulator yet."""
        self._endpoints = endpoints
        self._clients = Clients(endpoints)
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._account = ""

    @property
    def notice(self) -> str:
        """What every run says."""
        return (
            "aws: this is agent-fleet's stand-in for the official provider. What an emulator of AWS has is made in the "
            f"emulator at {self._endpoints.described()} (moto, as a rule); nothing is created in AWS."
        )

    def account(self, region: str) -> str:
        """The emulator's account; the made up one where it has no STS."""
        client = self._clients.get("sts", region)
        if client is None:
            return ACCOUNT
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            if not self._account:
                try:
                    self._account = str(client.get_caller_identity()["Account"])
                except (BotoCoreError, ClientError) as error:
                    raise OperationError(
                        f"The emulator at {self._endpoints.of('sts')} does not answer: {error}"
                    ) from error
        return self._account

    def resource(self, call: Call, region: str) -> EmulatedResource | None:
        """The resource's calls; None for one that stays in the state, which is said once for each type."""
        known = KINDS.get(kind(call.token))
        client = self._clients.get(known.service, region) if known is not None else None
        if known is not None and client is not None:
            return EmulatedResource(known, client, call.token)
        with self._lock:
            first = call.token not in self._told
            self._told.add(call.token)
        if first:
            why = "its service has no endpoint" if known is not None else "the stand-in has no calls for it"
            call.log.info(f"{call.token} is kept in the state only, and is not in the emulator: {why}.", call.urn)
        return None


def outputs_found(resource: EmulatedResource, token: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a description of the resource says of its outputs: by the type's table, else by the same name."""
    described = sdk_types.resource_type(token)
    if described is None:
        return {}
    by_name = {plain(name): value for name, value in found.items()}
    result: dict[str, Any] = {}
    for name, output in described.outputs.items():
        if name in _TAGS:
            continue
        path = resource.kind.outputs.get(name)
        value = jmespath.search(path, found) if path else by_name.get(plain(name))
        if isinstance(value, str) and output.shape.name == _INTEGER and value.lstrip("-").isdigit():
            value = int(value)
        if _fits(value, output.shape):
            result[name] = value
    return result


def inputs_found(inputs: Mapping[str, Any], found: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """The inputs with what the emulator now says of them: numbers and switches, and what the type's table names."""
    plain_inputs = reveal(inputs)
    result = dict(inputs)
    for name, value in found.items():
        known = plain_inputs.get(name)
        comparable = isinstance(value, bool | int) or name in named
        if known is not None and comparable and type(known) is type(value) and known != value:
            result[name] = value
    return result


def _fits(value: Any, shape: Shape) -> bool:
    """Whether a described value is of the type that the SDK reads: one of another type under the same name is not."""
    if shape.kind is ShapeKind.LIST:
        return isinstance(value, list) and all(isinstance(item, str | int | float | bool) for item in value)
    return shape.kind is ShapeKind.SCALAR and isinstance(value, _SCALARS.get(shape.name, ()))
