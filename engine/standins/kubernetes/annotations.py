"""The annotations by which a program steers the provider, as the official one has them (provider/pkg/metadata)."""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

PREFIX = "pulumi.com/"
AUTONAMED = f"{PREFIX}autonamed"
SKIP_AWAIT = f"{PREFIX}skipAwait"
WAIT_FOR = f"{PREFIX}waitFor"
TIMEOUT_SECONDS = f"{PREFIX}timeoutSeconds"
PATCH_FORCE = f"{PREFIX}patchForce"
PATCH_FIELD_MANAGER = f"{PREFIX}patchFieldManager"
DELETION_PROPAGATION = f"{PREFIX}deletionPropagationPolicy"

_DEFAULT_SECONDS = 600.0


def value(thing: Mapping[str, Any], name: str) -> str:
    """One annotation of an object; empty when it has none or it is not known."""
    metadata = thing.get("metadata")
    annotations: Any = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    found: Any = annotations.get(name) if isinstance(annotations, Mapping) else None
    return found if isinstance(found, str) else ""


def is_true(thing: Mapping[str, Any], name: str) -> bool:
    """Whether an annotation says `true`."""
    return value(thing, name) == "true"


def timeout_seconds(given: float, thing: Mapping[str, Any]) -> float:
    """How long to wait: the resource's custom timeout, its annotation, or ten minutes."""
    if given:
        return given
    text = value(thing, TIMEOUT_SECONDS)
    return float(text) if text.isdigit() else _DEFAULT_SECONDS


def propagation(thing: Mapping[str, Any]) -> str:
    """What happens to the objects that this one owns when it is deleted."""
    return {"orphan": "Orphan", "background": "Background"}.get(
        value(thing, DELETION_PROPAGATION).lower(), "Foreground"
    )


def field_manager(thing: Mapping[str, Any], state: Mapping[str, Any], urn: str) -> str:
    """The field manager of a resource: from its annotation, from its state, or its own.

    The official provider draws a random one. This one follows from the stack and the resource, so that what a killed
    run created is known again by the next.
    """
    given = value(thing, PATCH_FIELD_MANAGER) or state.get("__fieldManager")
    if given:
        return str(given)
    origin = f"{os.environ.get('PULUMI_BACKEND_URL', '')}\n{urn}"
    return f"pulumi-kubernetes-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"
