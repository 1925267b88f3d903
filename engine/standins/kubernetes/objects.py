"""Between Pulumi's property trees and Kubernetes objects: names of properties, secrets, and what state keeps."""

from collections.abc import Mapping
from typing import Any, cast

from engine.standins.values import UNKNOWN, Secret, has_unknown, reveal

_BOOKKEEPING = frozenset({"__inputs", "__initialApiVersion", "__fieldManager", "__defaults"})
_READ_ONLY = ("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields")
_SERVER_GIVEN = (*_READ_ONLY, "resourceVersion", "uid", "selfLink")
_EXTENSION = "x_kubernetes_"  # the SDK's spelling of `x-kubernetes-*` in the schemas of custom resources


def to_object(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The object that a resource's inputs describe, without secret marks; unknown values stay marked."""
    plain = cast(dict[str, Any], _renamed(reveal(tree), _EXTENSION, "x-kubernetes-", "_", "-"))
    return {key: value for key, value in plain.items() if not key.startswith("__") and value is not None}


def to_tree(thing: Mapping[str, Any]) -> dict[str, Any]:
    """The property tree of an object."""
    return cast(dict[str, Any], _renamed(thing, "x-kubernetes-", _EXTENSION, "-", "_"))


def normalised(thing: dict[str, Any]) -> dict[str, Any]:
    """The object without what only the server sets, whether a program repeated it or an import took it over."""
    metadata = thing.get("metadata")
    if isinstance(metadata, dict):
        given = cast(dict[str, Any], metadata)
        return {**thing, "metadata": {key: value for key, value in given.items() if key not in _SERVER_GIVEN}}
    return thing


def outputs(
    live: Mapping[str, Any], inputs: Mapping[str, Any], manager: str, state: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What state keeps of an object, in the official provider's form; `inputs` say what is secret.

    `managedFields` are left out: no program reads them, and they double the state.
    """
    kept = dict(live)
    if isinstance(kept.get("metadata"), dict):
        kept["metadata"] = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    tree = marked(to_tree(kept), inputs)
    if kept.get("kind") == "Secret" and isinstance(tree.get("data"), dict):
        tree["data"] = Secret(tree["data"])
    tree["__inputs"] = {key: value for key, value in inputs.items() if key not in _BOOKKEEPING}
    tree["__initialApiVersion"] = (state or {}).get("__initialApiVersion") or live.get("apiVersion")
    tree["__fieldManager"] = manager
    return tree


def marked(tree: dict[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with every property secret that is secret in `like`; a Secret's data always is.

    Within a list one secret item makes the whole list secret: the server may have put it in another order.
    """
    result = dict(tree)
    if tree.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if result.get(key) is not None and not isinstance(result[key], Secret):
                result[key] = Secret(result[key])
    for key, item in like.items():
        if key not in result or isinstance(result[key], Secret) or key.startswith("__"):
            continue
        if isinstance(item, Secret) or (not isinstance(item, Mapping) and _has_secret(item)):
            result[key] = Secret(result[key])
        elif isinstance(item, Mapping) and isinstance(result[key], dict):
            result[key] = marked(cast(dict[str, Any], result[key]), cast(Mapping[str, Any], item))
    return result


def foretold(live: Mapping[str, Any], inputs: Mapping[str, Any], manager: str, *, exists: bool) -> dict[str, Any]:
    """What a dry run says that the outputs will be; what the server will choose anew is unknown."""
    thing = dict(live)
    metadata = dict(live.get("metadata") or {})
    changing = ("resourceVersion", "generation") if exists else ("resourceVersion", "generation", "uid")
    for key in (*changing, *(() if exists else ("creationTimestamp",))):
        metadata[key] = UNKNOWN
    thing["metadata"] = metadata
    if not exists and "status" in live:
        thing["status"] = UNKNOWN
    if not exists and live.get("kind") == "Service":
        thing["spec"] = _unallocated(live.get("spec") or {}, to_object(inputs).get("spec") or {})
    return outputs(thing, inputs, manager)


def lives_in(thing: Mapping[str, Any]) -> str:
    """The object's namespace; empty when it has none or it is not known."""
    return _named(thing, "namespace")


def name_of(thing: Mapping[str, Any]) -> str:
    """The object's name; empty when it has none or it is not known."""
    return _named(thing, "name")


def _named(thing: Mapping[str, Any], key: str) -> str:
    metadata = thing.get("metadata")
    value: Any = cast(Mapping[str, Any], metadata).get(key) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) else ""


def identifier(thing: Mapping[str, Any]) -> str:
    """The resource's id: `namespace/name`, or the name where there is no namespace."""
    namespace = lives_in(thing)
    return f"{namespace}/{name_of(thing)}" if namespace else name_of(thing)


def parse_identifier(text: str) -> tuple[str, str]:
    """Namespace and name from an id."""
    namespace, _, name = text.rpartition("/")
    return namespace, name


def described(thing: Mapping[str, Any]) -> str:
    """`Deployment alpha/worker`, for messages."""
    return f"{thing.get('kind')} {identifier(thing)}"


def unknown_inputs(inputs: Mapping[str, Any]) -> bool:
    """Whether some of the inputs are known only after the update."""
    return has_unknown(inputs)


def _renamed(value: Any, start: str, new_start: str, separator: str, new_separator: str) -> Any:
    if isinstance(value, Mapping):
        tree = cast(Mapping[str, Any], value)
        return {
            (
                new_start + key[len(start) :].replace(separator, new_separator) if key.startswith(start) else key
            ): _renamed(item, start, new_start, separator, new_separator)
            for key, item in tree.items()
            # To apply a null is to own a field without a value; the program means to leave it out.
            if item is not None
        }
    if isinstance(value, list):
        items = cast(list[Any], value)
        return [_renamed(item, start, new_start, separator, new_separator) for item in items]
    return value


def _has_secret(value: Any) -> bool:
    if isinstance(value, Secret):
        return True
    if isinstance(value, Mapping):
        return any(map(_has_secret, cast(Mapping[str, Any], value).values()))
    return isinstance(value, list) and any(map(_has_secret, cast(list[Any], value)))


def _unallocated(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A new Service's spec without the addresses and ports that a dry run only made up."""
    result = dict(spec)
    for key in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
        if key in result and key not in given and result[key] not in ("None", ["None"]):
            result[key] = UNKNOWN
    wanted: list[Mapping[str, Any]] = given.get("ports") or []
    ports: list[Mapping[str, Any]] = result.get("ports") or []
    result["ports"] = [
        {**port, "nodePort": UNKNOWN}
        if "nodePort" in port and not (index < len(wanted) and wanted[index].get("nodePort"))
        else port
        for index, port in enumerate(ports)
    ]
    return result
