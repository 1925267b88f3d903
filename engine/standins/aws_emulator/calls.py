"""The calls that make, show, change and remove a resource, built from its `Kind` and botocore's model of the API."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import jmespath

from engine.standins.aws_emulator import shapes
from engine.standins.aws_emulator.kind import Keys, Kind, Step
from engine.standins.standin import OperationError

_GONE = ("notfound", "nosuch", "nonexistent", "doesnotexist", "404", "notexist")
_TAGS = ("tags", "tagsAll")


class EmulatedResource:
    """One resource of one type: a client, and what is known of the type."""

    def __init__(self, kind: Kind, client: Any, token: str) -> None:
        """`token` is for messages."""
        self.kind = kind
        self._client = client
        self._token = token

    def create(self, inputs: Mapping[str, Any], tags: Mapping[str, Any], made_up_id: str) -> str:
        """Make it; returns its id."""
        kind = self.kind
        if callable(kind.create):
            answer = self._guarded(kind.create, inputs)
        else:
            answer = self._call(kind.create, self._arguments(kind.create, inputs, tags))
        identity = made_up_id
        if kind.identity:
            identity = jmespath.search(kind.identity, answer)
            if not identity:
                raise OperationError(f"{self._token}: the emulator's answer to the create has no id: {answer}")
        known = {**inputs, "id": str(identity)}
        try:
            for step in kind.steps:
                if step.on_create:
                    self._step(step, known, step.properties)
            if kind.after is not None:
                self._guarded(kind.after, known)
        except OperationError:
            # The engine is not told of what is half made, so nobody else would remove it.
            with contextlib.suppress(OperationError):
                self.delete(known)
            raise
        return str(identity)

    def read(self, known: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The resource as the API describes it; None when it is gone. `known` are plain properties with the `id`."""
        kind = self.kind
        if not kind.read:
            return {}
        try:
            if callable(kind.read):
                answer = self._guarded(kind.read, known)
            else:
                arguments = self._keyed(kind.read, kind.read_keys, known) | dict(kind.read_constants)
                answer = self._call(kind.read, arguments)
        except GoneError:
            return None
        found = jmespath.search(kind.found, answer) if kind.found else answer
        if not found:
            return None
        return found if isinstance(found, Mapping) else {"": found}

    def update(
        self,
        inputs: Mapping[str, Any],
        state: Mapping[str, Any],
        changed: Iterable[str],
        tags: tuple[Mapping[str, Any], Mapping[str, Any]],
    ) -> list[str]:
        """Change what differs; `tags` are those before and after. Returns the properties that no call carries.

        `state` has the outputs of before and the `id`.
        """
        kind, left, known = self.kind, set(changed), {**state, **inputs}
        if kind.put and isinstance(kind.create, str) and left - {*_TAGS}:
            self._call(kind.create, self._arguments(kind.create, inputs, {}))
            left &= {*_TAGS}
        for step in kind.steps:
            if touched := [name for name in step.properties if name in left]:
                self._step(step, known, touched if step.one_by_one else step.properties, always=True)
                left -= set(touched)
        if kind.on_change is not None:
            self._guarded(kind.on_change, {**known, "__changed": sorted(left)})
            left &= {*_TAGS}
        if kind.after is not None:
            self._guarded(kind.after, known)
        if left & {*_TAGS} or tags[0] != tags[1]:
            self._retag(known, *tags)
        return sorted(left - {*_TAGS})

    def delete(self, known: Mapping[str, Any]) -> None:
        """Remove it; gone already is no fault."""
        kind = self.kind
        try:
            if callable(kind.delete):
                self._guarded(kind.delete, known)
            elif kind.delete:
                arguments = self._keyed(kind.delete, kind.delete_keys, known) | dict(kind.delete_constants)
                self._call(kind.delete, arguments)
        except GoneError:
            return

    def _shape(self, operation: str) -> Any:
        name = self._client.meta.method_to_api_mapping[operation]
        return self._client.meta.service_model.operation_model(name).input_shape

    def _arguments(self, operation: str, inputs: Mapping[str, Any], tags: Mapping[str, Any]) -> dict[str, Any]:
        kind, shape = self.kind, self._shape(operation)
        inner = shape.members[kind.wrap] if kind.wrap else shape
        arguments: dict[str, Any] = {}
        for name, value in inputs.items():
            if name.startswith("__") or value is None or name == "region":
                continue
            if name in _TAGS and not isinstance(value, list):
                continue
            target = kind.names[name] if name in kind.names else shapes.member(shape, name)
            if target:
                _put(arguments, shape, target, value)
            elif name not in kind.names and kind.wrap and (inside := shapes.member(inner, name)):
                arguments.setdefault(kind.wrap, {})[inside] = shapes.convert(value, inner.members[inside])
        if tags:
            self._tag_arguments(arguments, shape, tags)
        return dict(kind.constants) | arguments

    def _tag_arguments(self, arguments: dict[str, Any], shape: Any, tags: Mapping[str, Any]) -> None:
        if self.kind.tag_type:
            content = [{"Key": key, "Value": str(value)} for key, value in tags.items()]
            arguments["TagSpecifications"] = [{"ResourceType": self.kind.tag_type, "Tags": content}]
        elif (target := shapes.member(shape, "tags")) and target not in arguments:
            arguments[target] = shapes.pairs(tags, shape.members[target])

    def _keyed(self, operation: str, keys: Keys, known: Mapping[str, Any]) -> dict[str, Any]:
        shape = self._shape(operation)
        return {
            name: shapes.convert(known[source], shape.members[name])
            for name, source in keys.items()
            if known.get(source) is not None
        }

    def _step(self, step: Step, known: Mapping[str, Any], properties: Iterable[str], *, always: bool = False) -> None:
        given = [name for name in properties if known.get(name) is not None]
        if not given and not (always and not step.one_by_one):
            return
        for group in [[name] for name in given] if step.one_by_one else [given]:
            shape = self._shape(step.operation)
            arguments = self._keyed(step.operation, step.keys, known)
            for name in group:
                target = step.names[name] if name in step.names else shapes.member(shape, name)
                if target is None:
                    raise OperationError(f"{self._token}: {step.operation} has no parameter for {name}.")
                _put(arguments, shape, target, known[name])
            self._call(step.operation, arguments | dict(step.constants))

    def _retag(self, known: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        tagging = self.kind.tagging
        if tagging is None:
            return
        gone = sorted(before.keys() - after.keys())
        for operation, content in ((tagging.remove, gone), (tagging.add, after)):
            if not content:
                continue
            shape = self._shape(operation)
            arguments = self._keyed(operation, tagging.keys, known)
            name = shapes.member(shape, "tags") or shapes.member(shape, "tagKeys") or "Tags"
            if isinstance(content, Mapping):
                arguments[name] = shapes.pairs(content, shape.members[name])
            elif shape.members[name].member.type_name == "structure":
                arguments[name] = [{"Key": key} for key in content]
            else:
                arguments[name] = content
            self._call(operation, arguments)

    def _guarded(self, act: Any, known: Mapping[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return act(self._client, known)
        except (BotoCoreError, ClientError) as error:
            raise self._told(getattr(act, "__name__", "a call").strip("_"), error) from error

    def _call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(**arguments)
        except (BotoCoreError, ClientError) as error:
            raise self._told(operation, error) from error

    def _told(self, operation: str, error: Exception) -> OperationError:
        response: Mapping[str, Any] = getattr(error, "response", {})
        code = str(response.get("Error", {}).get("Code", ""))
        said = str(response.get("Error", {}).get("Message") or error)
        if said.startswith("<"):
            said = "it has no such call, or failed inside; its own log says more"
        text = f"{self._token}: the emulator refused {operation}: {code or type(error).__name__}: {said}"
        # Autoscaling calls all that it does not find a ValidationError.
        signs = shapes.plain(code) + shapes.plain(said)
        return GoneError(text) if any(word in signs for word in _GONE) else OperationError(text)


class GoneError(OperationError):
    """What was asked for is not there."""


def _put(arguments: dict[str, Any], shape: Any, target: str, value: Any) -> None:
    first, _, rest = target.partition(".")
    inner = shape.members[first]
    if not rest:
        arguments[first] = shapes.convert(value, inner)
    elif inner.type_name == "map":
        arguments.setdefault(first, {})[rest] = shapes.convert(value, inner.value)
    elif inner.type_name == "list":
        content = arguments.setdefault(first, [{}])
        _put(content[0], inner.member, rest, value)
    else:
        _put(arguments.setdefault(first, {}), inner, rest, value)
