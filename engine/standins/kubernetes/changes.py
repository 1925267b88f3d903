"""What of an object changed, and what of it cannot be changed in place."""

from collections.abc import Mapping
from typing import Any

from engine.standins.differences import Difference, Kind, compare
from engine.standins.kubernetes import annotations
from engine.standins.kubernetes.kinds import guessed
from engine.standins.kubernetes.objects import name_of, normalised, to_object
from engine.standins.replacements import ReplacementTable, Rule
from engine.standins.standin import Call, Judgement
from engine.standins.values import reveal

_IDENTITY = frozenset({"metadata.name", "metadata.namespace"})


def judge(
    table: ReplacementTable,
    call: Call,
    inputs: Mapping[str, Any],
    new: Mapping[str, Any],
    mutable: frozenset[str],
    *,
    patch: bool,
) -> Judgement:
    """What changes between the last inputs and these; `mutable` are the kinds whose data may change in place."""
    old_tree, new_tree = _comparable(inputs), _comparable(new)
    found = [item for item in compare(old_tree, new_tree) if not item.path.startswith(f'metadata.annotations["{_OWN}')]
    if _gone(old_tree.get("metadata"), new_tree.get("metadata")):
        found.append(Difference("metadata", Kind.DELETED))
    rule = Rule(replace=frozenset()) if patch else table.rule(call.token)
    data = frozenset[str]() if patch else _fixed_data(new_tree, mutable)
    replacing = frozenset(
        item.path
        for item in found
        if item.path in _IDENTITY or rule.replaces(item.path) or item.path.partition(".")[0].partition("[")[0] in data
    )
    after, before = to_object(reveal(new)), to_object(reveal(inputs))
    same_name = bool(name_of(after)) and name_of(after) == name_of(before)
    same_place = _namespace(new_tree) == _namespace(old_tree)
    fixed = same_name and same_place and not annotations.is_true(after, annotations.AUTONAMED)
    return Judgement(found, replacing, delete_before_replace=fixed)


_OWN = annotations.AUTONAMED


def _comparable(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as they count: without what only the server sets, and with the namespace that none means."""
    thing = {key: value for key, value in reveal(tree).items() if not key.startswith("__")}
    metadata = thing.get("metadata")
    if isinstance(metadata, Mapping) and thing.get("kind") and thing.get("apiVersion"):
        namespaced = guessed(str(thing["apiVersion"]), str(thing["kind"])).namespaced
        rest = {key: value for key, value in metadata.items() if key != "namespace" or namespaced}
        if namespaced and not rest.get("namespace"):
            rest["namespace"] = "default"
        thing["metadata"] = rest
    return normalised(thing)


def _fixed_data(thing: Mapping[str, Any], mutable: frozenset[str]) -> frozenset[str]:
    kind = thing.get("kind")
    if thing.get("apiVersion") != "v1" or (kind in mutable and not thing.get("immutable")):
        return frozenset()
    fixed = {"ConfigMap": ("data", "binaryData"), "Secret": ("data", "stringData", "type")}
    return frozenset(fixed.get(str(kind), ()))


def _namespace(thing: Mapping[str, Any]) -> Any:
    return (thing.get("metadata") or {}).get("namespace")


def _gone(old: Any, new: Any) -> bool:
    return old is not None and new is None
