"""Which settings mean something where: for one architecture, or for one target of it.

The marks are part of the JSON Schema, so that the reference, the refusals and the models cannot disagree.
"""

from collections.abc import Mapping
from typing import Any

CLUSTER_ONLY: dict[str, Any] = {"x-architecture": "cluster"}
EKS_ONLY: dict[str, Any] = {"x-architecture": "cluster", "x-target": "eks"}
EXISTING_ONLY: dict[str, Any] = {"x-architecture": "cluster", "x-target": "existing"}
VM_ONLY: dict[str, Any] = {"x-architecture": "vm"}


def vm_only(instead: str) -> dict[str, Any]:
    """A setting of vm, and what a cluster has in its place."""
    return {**VM_ONLY, "x-instead": instead}


def vm_only_because(why: str) -> dict[str, Any]:
    """A setting of vm, and why a cluster cannot have it."""
    return {**VM_ONLY, "x-why": why}


def applies(schema: Mapping[str, Any], architecture: str, target: str) -> bool:
    """Whether a setting means something there."""
    return schema.get("x-architecture", architecture) == architecture and schema.get("x-target", target) == target


def in_words(schema: Mapping[str, Any]) -> str:
    """`Only for …`, or nothing for a setting that means something everywhere."""
    if "x-architecture" not in schema:
        return ""
    return f"Only for {_where(schema)}."


def out_of_place(schema: Mapping[str, Any], architecture: str, target: str) -> str | None:
    """Why a setting cannot stand in this stack; None if it can."""
    if applies(schema, architecture, target):
        return None
    instead = schema.get("x-instead")
    advice = f"use {instead} instead" if instead and architecture == "cluster" else "remove it"
    why = f" ({schema['x-why']})" if "x-why" in schema else ""
    stack = _stack(architecture, target)
    return f"given, but it is only for {_where(schema)}{why}, and this stack has {stack}: {advice}"


def _where(schema: Mapping[str, Any]) -> str:
    return _stack(schema["x-architecture"], schema.get("x-target"))


def _stack(architecture: str, target: str | None) -> str:
    return f"`architecture: {architecture}`" + (f" with `target: {target}`" if target else "")
