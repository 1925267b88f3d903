"""Deletes objects and waits until they are gone."""

from collections.abc import Mapping
from typing import Any

from engine.standins.kubernetes import annotations, managers
from engine.standins.kubernetes.api import ApiError, ApiServer
from engine.standins.kubernetes.objects import described, parse_identifier, to_object
from engine.standins.kubernetes.waiting import until_gone
from engine.standins.standin import Call, OperationError

# Kinds for which the official provider honours skipAwait in a deletion too.
_MAY_SKIP = frozenset({"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "ReplicationController", "StatefulSet"})


def remove(server: ApiServer, call: Call, state: Mapping[str, Any], *, patch: bool) -> None:
    """Delete a resource's object, or give up the fields of a patch; what is gone already is no fault."""
    live = to_object(state)
    inputs = to_object(state.get("__inputs") or state)
    kind = server.kind(str(live["apiVersion"]), str(live["kind"]))
    if kind is None:
        # The whole kind went, and its objects with it.
        return
    namespace, name = parse_identifier(call.resource_id)
    path = kind.path(namespace or "default", name)
    try:
        if patch:
            managers.relinquish(server, path, live, str(state.get("__fieldManager")))
            return
        found = server.get(path)
        if found is None:
            return
        options = {"propagationPolicy": annotations.propagation(inputs)}
        server.send("DELETE", path, options)
    except ApiError as error:
        if error.code == 404:
            return
        if patch and any(cause.get("reason") == "FieldValueRequired" for cause in error.causes):
            raise OperationError(
                f"{described(live)}: this patch manages a field that the object must have, so it cannot be given up. "
                "Set `retain_on_delete`, or let another manager take the field over first."
            ) from None
        raise OperationError(f"{described(live)}: {error.message}") from None
    if annotations.is_true(inputs, annotations.SKIP_AWAIT) and kind.name in _MAY_SKIP:
        return
    until_gone(server, call, path, found, annotations.timeout_seconds(call.timeout_seconds, inputs))
