"""Field managers: who owns which field of an object, and how ownership changes hands.

As the official provider (pulumi-kubernetes provider/pkg/await, fixCSAFieldManagers) this one takes over what kubectl
and client-side writers of Pulumi own before it applies, and leaves every other manager's fields alone.
"""

from collections.abc import Mapping
from typing import Any, cast

from engine.standins.kubernetes.api import APPLY, JSON_PATCH, ApiError, ApiServer

_TAKEN_OVER = (
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    ("pulumi-kubernetes", "Update"),
    ("pulumi-resource-kubernetes", "Update"),
)


def applied_by(thing: Mapping[str, Any], manager: str) -> bool:
    """Whether a manager has applied to the object."""
    return any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in _entries(thing))


def needs_transfer(thing: Mapping[str, Any], manager: str) -> bool:
    """Whether some of the object's fields are owned by managers that this provider takes over."""
    return any(_taken_over(entry, manager) for entry in _entries(thing))


def transfer(server: ApiServer, path: str, thing: Mapping[str, Any], manager: str) -> None:
    """Make the fields of the managers that are taken over the manager's own, as if it had applied them."""
    fields: dict[str, Any] = {}
    own: dict[str, Any] = {}
    kept: list[Mapping[str, Any]] = []
    for entry in _entries(thing):
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            own = dict(entry)
        elif not _taken_over(entry, manager):
            kept.append(entry)
            continue
        fields = _union(fields, entry.get("fieldsV1") or {})
    merged = {
        "apiVersion": thing["apiVersion"],
        "fieldsType": "FieldsV1",
        **own,
        "manager": manager,
        "operation": "Apply",
        "fieldsV1": fields,
    }
    patch = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": thing["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": [*kept, merged]},
    ]
    server.send("PATCH", path, patch, content=JSON_PATCH)


def relinquish(server: ApiServer, path: str, thing: Mapping[str, Any], manager: str) -> None:
    """Give up every field that a manager owns; one that nobody else owns goes."""
    metadata = {key: thing["metadata"][key] for key in ("name", "namespace") if thing["metadata"].get(key)}
    empty = {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "metadata": metadata}
    try:
        server.send("PATCH", path, empty, {"fieldManager": manager, "force": "false"}, content=APPLY)
    except ApiError as error:
        if error.code != 404:
            raise


def without_ignored(
    thing: dict[str, Any], live: Mapping[str, Any], manager: str, ignored: tuple[str, ...]
) -> dict[str, Any]:
    """The object to apply when the program ignores changes of some fields.

    A field that another manager owns is left out, so that it stays that manager's; any other keeps its live value.
    """
    result = thing
    for text in ignored:
        steps = text.split(".")
        if "[" in text or _at(result, steps) is None:
            continue
        now = _at(live, steps)
        if now is None:
            continue
        foreign = any(_owns(entry, steps) for entry in _entries(live) if entry.get("manager") != manager)
        own = any(_owns(entry, steps) for entry in _entries(live) if entry.get("manager") == manager)
        result = _put(result, steps, None if foreign and not own else now)
    return result


def _entries(thing: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (thing.get("metadata") or {}).get("managedFields") or []


def _taken_over(entry: Mapping[str, Any], manager: str) -> bool:
    if entry.get("subresource"):
        return False
    name, operation = str(entry.get("manager")), entry.get("operation")
    if name == manager and operation == "Apply":
        return False
    return any(name.startswith(start) and operation == wanted for start, wanted in _TAKEN_OVER)


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(one)
    for key, value in other.items():
        result[key] = _union(result[key], value) if key in result else value
    return result


def _owns(entry: Mapping[str, Any], steps: list[str]) -> bool:
    fields: Any = entry.get("fieldsV1") or {}
    for step in steps:
        fields = fields.get(f"f:{step}") if isinstance(fields, Mapping) else None
        if fields is None:
            return False
    return True


def _at(thing: Any, steps: list[str]) -> Any:
    for step in steps:
        thing = cast(Mapping[str, Any], thing).get(step) if isinstance(thing, Mapping) else None
    return thing


def _put(thing: Mapping[str, Any], steps: list[str], value: Any) -> dict[str, Any]:
    """A copy of the object with one field set, or left out when the value is None."""
    result, first = dict(thing), steps[0]
    if len(steps) > 1:
        result[first] = _put(result[first], steps[1:], value)
    elif value is None:
        result.pop(first, None)
    else:
        result[first] = value
    return result
