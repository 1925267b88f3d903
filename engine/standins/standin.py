"""What a stand-in provider is: the operations on resources, with what all stand-ins share.

A provider subclasses `StandIn`, names its package, and overrides what it really does. Inputs are checked against the
SDK's types and differences are judged by the replacement table before any override runs.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from engine.standins import sdk_types, type_check
from engine.standins.differences import Difference, compare
from engine.standins.engine_log import EngineLog
from engine.standins.replacements import ReplacementTable
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, Secret, reveal, secret_texts


class OperationError(Exception):
    """An operation failed for a reason that the user can act on; the message is shown as it is."""


class HalfDoneError(OperationError):
    """The resource is there, but the operation on it did not end well: the engine records it with what is wrong."""

    def __init__(self, message: str, resource_id: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """`outputs` and `inputs` are what the state is to keep."""
        super().__init__(message)
        self.resource_id = resource_id
        self.outputs = outputs
        self.inputs = inputs


@dataclass(frozen=True)
class Call:
    """One operation on one resource."""

    urn: str
    token: str
    name: str
    log: EngineLog
    cancelled: threading.Event
    preview: bool = False
    timeout_seconds: float = 0
    resource_id: str = ""
    ignored: tuple[str, ...] = ()
    """Property paths whose changes the program ignores."""


@dataclass(frozen=True)
class Created:
    """The result of a create or a read: an id (empty from a read: the resource is gone) and its outputs."""

    resource_id: str
    outputs: Mapping[str, Any]
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Naming:
    """How the official provider names a resource whose program gave no name."""

    property: str = "name"
    separator: str = "-"
    random_digits: int = 7
    lowercase: bool = False


@dataclass(frozen=True)
class Judgement:
    """What a diff found: all differences, those that force a replacement, and in which order to replace."""

    differences: list[Difference]
    replacing: frozenset[str]
    delete_before_replace: bool


class StandIn:
    """A provider; subclasses override `create` and whatever else the package needs."""

    package: ClassVar[str] = ""
    notice: ClassVar[str] = ""
    served: ClassVar[frozenset[str] | None] = None
    """The resource types served; None when every type of the SDK is."""
    named: ClassVar[Mapping[str, Naming]] = {}
    """The types that get a name when the program gives none."""

    def __init__(self) -> None:
        """Read the replacement table; nothing else happens before the engine asks."""
        self.table = ReplacementTable(self.package)
        self.config: dict[str, Any] = {}
        self.working_directory = Path.cwd()
        self._warned: set[str] = set()

    @property
    def announcement(self) -> str:
        """What every run says of the stand-in, once it has its settings."""
        return self.notice

    @property
    def version(self) -> str:
        """The version of the installed SDK, which is the version that the engine asks for."""
        return sdk_types.sdk_version(self.package)

    def check(self, call: Call, old: Mapping[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """The inputs with defaults filled in, and what is wrong with them."""
        resource = sdk_types.resource_type(call.token)
        if resource is None:
            raise OperationError(sdk_types.unknown_type_message(call.token))
        if self.served is not None and call.token not in self.served:
            raise OperationError(
                f"{call.token} is not served by the {self.package} stand-in, which serves "
                f"{', '.join(sorted(self.served))}. Use the official provider plugin for it."
            )
        given = {key: value for key, value in new.items() if not key.startswith("__")}
        failures = type_check.check(given, resource)
        self._name(call, old, given)
        if not failures:
            hidden = secret_texts(given)
            failures = [Failure(item.path, _masked(item.reason, hidden)) for item in self.validate(call, given)]
        if not self.table.knows(call.token) and call.token not in self._warned:
            self._warned.add(call.token)
            call.log.warning(self.table.unknown_message(call.token), call.urn)
        return given, failures

    def validate(self, call: Call, inputs: Mapping[str, Any]) -> list[Failure]:
        """Faults that types do not show; inputs may hold unknowns and secrets."""
        del call, inputs
        return []

    def diff(
        self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Judgement:
        """What changes between the inputs of the last run and those of this one."""
        del state
        rule = self.table.rule(call.token)
        found = [item for item in compare(inputs, new, unordered=rule.unordered) if item.path not in ("__defaults",)]
        replacing = frozenset(item.path for item in found if rule.replaces(item.path))
        # A name that the program fixed can exist once only, so the old holder must go first.
        naming, after = self.naming(call.token), reveal(new)
        fixed_name = (
            naming is not None
            and naming.property not in (after.get("__defaults") or [])
            and after.get(naming.property) is not None
            and after.get(naming.property) == reveal(inputs).get(naming.property)
        )
        return Judgement(found, replacing, delete_before_replace=fixed_name or rule.delete_before_replace)

    def preview(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        """The outputs as far as they are known before the operation; `state` is None for a new resource."""
        resource = sdk_types.resource_type(call.token)
        outputs: dict[str, Any] = {key: value for key, value in inputs.items() if not key.startswith("__")}
        for name, output in (resource.outputs if resource else {}).items():
            if name not in outputs and not output.optional:
                outputs[name] = UNKNOWN if state is None else state.get(name, UNKNOWN)
        return outputs

    def create(self, call: Call, inputs: Mapping[str, Any]) -> Created:
        """Create the resource for real."""
        raise NotImplementedError

    def read(self, call: Call, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> Created:
        """The resource as it is now; an empty id when it is gone."""
        return Created(call.resource_id, state, inputs)

    def update(
        self, call: Call, old: Mapping[str, Any], state: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Change the resource in place; returns its outputs."""
        del call, old
        return {**state, **{key: value for key, value in new.items() if not key.startswith("__")}}

    def delete(self, call: Call, state: Mapping[str, Any]) -> None:
        """Delete the resource; one that is gone already is no fault."""

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a data source."""
        del arguments
        raise OperationError(f"{token} is not served by the {self.package} stand-in. Use the official provider plugin.")

    def check_settings(self, config: Mapping[str, Any]) -> list[Failure]:
        """What is wrong with the provider's settings, beyond names that the SDK does not have."""
        del config
        return []

    def diff_settings(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """The settings that changed, and those for which every resource of the provider is replaced: here none."""
        return sorted(key for key in {*old, *new} if old.get(key) != new.get(key)), []

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the provider's settings."""
        self.config = dict(config)

    def stop(self) -> None:
        """The engine asked to stop, or is gone: end what runs outside this process."""

    def naming(self, token: str) -> Naming | None:
        """How a resource of this type is named when the program gives no name."""
        return self.named.get(token)

    def _name(self, call: Call, old: Mapping[str, Any], inputs: dict[str, Any]) -> None:
        naming = self.naming(call.token)
        if naming is None or any(
            inputs.get(item) is not None for item in (naming.property, f"{naming.property}Prefix")
        ):
            return
        earlier = reveal(old)
        if naming.property in (earlier.get("__defaults") or []):
            name = earlier[naming.property]
        else:
            digits = secrets.token_hex(8)[: naming.random_digits]
            stem = call.name.lower() if naming.lowercase else call.name
            name = f"{stem}{naming.separator}{digits}"
        inputs[naming.property] = name
        inputs["__defaults"] = [naming.property]


def _masked(text: str, hidden: set[str]) -> str:
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "[secret]") if secret else text
    return text


def keep_marks(outputs: dict[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs where every property that is secret as an input is secret again."""
    return {
        key: Secret(reveal(value)) if isinstance(inputs.get(key), Secret) else value for key, value in outputs.items()
    }
