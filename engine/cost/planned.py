"""What a stack will consist of, read from the events of a preview or an update."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf import json_format, struct_pb2

from engine.standins import values

_GONE = ("delete", "delete-replaced", "discard", "discard-replaced", "read-discard")
_AWS_PROVIDER = "pulumi:providers:aws"


@dataclass(frozen=True)
class Planned:
    """One resource with its inputs. What only the update will know, and what is secret, counts as unknown."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    urn: str = ""
    parent: str = ""

    def text(self, *path: str) -> str | None:
        """A text among the inputs, by the names that lead to it; None where it is absent or unknown."""
        found = self._at(path)
        return found if isinstance(found, str) else None

    def number(self, *path: str) -> float | None:
        """A number; one that is written as a text counts too."""
        found = self._at(path)
        if isinstance(found, bool) or not isinstance(found, int | float | str):
            return None
        try:
            number = float(found)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None

    def truth(self, *path: str) -> bool | None:
        """A truth value; the texts `true` and `false` count too."""
        found = self._at(path)
        if isinstance(found, str):
            return {"true": True, "false": False}.get(found)
        return found if isinstance(found, bool) else None

    def sequence(self, *path: str) -> Sequence[Any] | None:
        """A list, whose items may be unknown."""
        found = self._at(path)
        return cast("list[Any]", found) if isinstance(found, list) else None

    def parts(self, *path: str) -> list["Planned"]:
        """The objects of a list, or the one object, to be read like a resource's inputs."""
        found = self._at(path)
        listed = cast("list[Any]", found) if isinstance(found, list) else [found]
        return [
            Planned(self.type, self.name, cast("dict[str, Any]", each)) for each in listed if isinstance(each, dict)
        ]

    def unknown(self, *path: str) -> bool:
        """Whether an input is there, and only the update will know it."""
        return self._at(path) is values.UNKNOWN

    def _at(self, path: Sequence[str]) -> Any:
        found: Any = self.inputs
        for name in path:
            if found is values.UNKNOWN:
                return found
            if not isinstance(found, Mapping):
                return None
            found = cast("Mapping[str, Any]", found).get(name)
            if isinstance(found, values.Secret):
                return values.UNKNOWN
        return found


@dataclass
class Plan:
    """All resources that a stack will have, without components, stacks and providers."""

    resources: dict[str, Planned] = field(default_factory=dict[str, Planned])
    """By their URNs."""
    region: str = ""
    """AWS's, as the provider has it; empty where there is none, or where it comes from the environment."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one event of the engine's JSON stream."""
        before = event.get("resourcePreEvent")
        if before is None:
            return
        metadata = before["metadata"]
        if metadata["op"] in _GONE:
            # A replacement's new resource comes first, under the same URN.
            if metadata["op"] == "delete":
                self.resources.pop(metadata["urn"], None)
            return
        state = metadata.get("new")
        if not state or not state.get("custom"):
            return
        planned = Planned(
            type=metadata["type"],
            name=metadata["urn"].rpartition("::")[2],
            inputs=_decoded(state.get("inputs") or {}),
            urn=metadata["urn"],
            parent=state.get("parent") or "",
        )
        if planned.type == _AWS_PROVIDER:
            self.region = planned.text("region") or self.region
        if not planned.type.startswith("pulumi:"):
            self.resources[planned.urn] = planned

    def of_type(self, kind: str) -> list[Planned]:
        """All resources of a type."""
        return [each for each in self.resources.values() if each.type == kind]


class _Unreadable(dict[str, Any]):
    """Inputs of which nothing is known: every one is as good as unknown."""

    def get(self, key: str, default: Any = None, /) -> Any:
        del key, default
        return values.UNKNOWN


def _decoded(inputs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return values.decode(json_format.ParseDict(dict(inputs), struct_pb2.Struct()))
    except (json_format.ParseError, ValueError, TypeError, RecursionError):
        # This listens to updates too, and no estimate is worth an update that ends half-way.
        return _Unreadable()
