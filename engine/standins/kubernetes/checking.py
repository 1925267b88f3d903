"""Checks an object's inputs against the SDK's types, and gives it a name where the program gave none."""

import secrets
from collections.abc import Mapping
from typing import Any, cast

from engine.standins import sdk_types, type_check
from engine.standins.kubernetes import annotations
from engine.standins.kubernetes.kinds import token_kind
from engine.standins.sdk_types import ResourceType
from engine.standins.standin import Call, OperationError
from engine.standins.type_check import Failure
from engine.standins.values import UNKNOWN, reveal

_NAME_DIGITS = 8  # resource.NewUniqueName of the engine's SDK, which the official provider uses
_METADATA_HOME = "kubernetes:core/v1:ConfigMap"


def type_failures(call: Call, inputs: Mapping[str, Any]) -> list[Failure]:
    """What the SDK's types do not allow; of a custom resource only the metadata have a type."""
    given = {key: value for key, value in inputs.items() if not key.startswith("__")}
    resource = sdk_types.resource_type(call.token)
    if resource is not None:
        return type_check.check(given, resource)
    if _is_sdk_group(call.token):
        raise OperationError(sdk_types.unknown_type_message(call.token))
    home = sdk_types.resource_type(_METADATA_HOME)
    assert home is not None  # noqa: S101 - the SDK has ConfigMap
    metadata = {"metadata": given["metadata"]} if given.get("metadata") is not None else {}
    only = ResourceType(call.token, home.module, {"metadata": home.inputs["metadata"]}, {}, frozenset())
    found = type_check.check(metadata, only)
    return found + [
        Failure(name, "is missing and required: a string.") for name in ("apiVersion", "kind") if not given.get(name)
    ]


def named(call: Call, old: Mapping[str, Any], thing: dict[str, Any], *, patch: bool) -> dict[str, Any]:
    """The object with a name: its own, the one made up earlier, or a new one."""
    metadata = cast(dict[str, Any], thing.get("metadata") or {})
    if thing.get("metadata") is UNKNOWN or metadata.get("name"):
        return thing
    if patch:
        raise OperationError("metadata.name: is required: a patch needs the name of the object that it changes.")
    if metadata.get("generateName"):
        raise OperationError("metadata.generateName: is not supported with server-side apply; give a `name`, or none.")
    earlier = reveal(old)
    if annotations.is_true(earlier, annotations.AUTONAMED):
        name = earlier["metadata"]["name"]
    else:
        name = f"{call.name}-{secrets.token_hex(_NAME_DIGITS)[:_NAME_DIGITS]}"
    own = {**(metadata.get("annotations") or {}), annotations.AUTONAMED: "true"}
    return {**thing, "metadata": {**metadata, "name": name, "annotations": own}}


def completed(thing: dict[str, Any], token: str) -> dict[str, Any]:
    """The object with the API version and kind that its type says."""
    api_version, kind, _ = token_kind(token)
    return {"apiVersion": api_version, "kind": kind, **thing}


def _is_sdk_group(token: str) -> bool:
    """Whether the SDK has types of this group and version, so that one it lacks does not exist."""
    path = token.split(":")[1]
    group, _, version = path.partition("/")
    return (sdk_types.sdk_folder("kubernetes") / group.partition(".")[0] / version / "_inputs.py").is_file() and (
        group in ("core", "apps", "batch", "autoscaling", "policy") or group.endswith(".k8s.io")
    )
