"""Stacks of `architecture: cluster` for tests: the least that is accepted, and what a program declares for it."""

from copy import deepcopy
from typing import Any

import pulumi
from recording import Declared, Recording, record
from stack_settings import read

from architectures import cluster
from settings.load import fleet_name
from settings.model import Settings

DIGESTS = {
    name: f"registry.test/agent-fleet/{name}@sha256:{'a' * 64}" for name in ("runtime", "sandbox", "postgres", "redis")
}
ADMINISTRATOR = "arn:aws:iam::210987654321:role/administrator"

_EXISTING: dict[str, Any] = {
    "architecture": "cluster",
    "target": "existing",
    "teams": {"alpha": {"pools": {"testing": {}}}},
    "limits": {"max_concurrent_agents": 1_000},
    "images": {"digests": DIGESTS},
}
_EKS: dict[str, Any] = {
    **_EXISTING,
    "target": "eks",
    "cluster": {"version": "1.35"},
    "aws": {"administrators": [ADMINISTRATOR]},
}


def existing(**given: Any) -> dict[str, Any]:
    """The settings of a fleet on a cluster that exists, changed by these."""
    return merged(_EXISTING, given)


def eks(**given: Any) -> dict[str, Any]:
    """The settings of a fleet on EKS, changed by these."""
    return merged(_EKS, given)


def merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """One mapping over the other, section by section. A section that is None is left out."""
    found = deepcopy(base)
    for name, value in given.items():
        inner = found.get(name)
        if value is None and isinstance(inner, dict):
            del found[name]
        else:
            found[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def pools(*agent_types: str, **given: Any) -> dict[str, Any]:
    """Pools of these agent types, each with these settings."""
    return {"pools": {name: dict(given) for name in agent_types}}


def declare(given: dict[str, Any], *, preview: bool, stack: str = "test") -> Recording:
    """What the program declares for these settings."""
    return declare_settings(read(given, stack=stack), preview=preview, stack=stack)


def declare_settings(settings: Settings, *, preview: bool, stack: str = "test") -> Recording:
    """What the program declares for settings that were accepted. The outputs are the recording's result."""

    def program() -> Any:
        found = cluster.deploy(fleet_name(stack), settings)
        return pulumi.Output.all(url=found.url, api_key=found.api_key, api_keys=found.api_keys, **found.others)

    return record(program, preview=preview, stack=stack)


def urns(found: Recording) -> set[tuple[str, str, str]]:
    """What tells resources apart in the state: the parent's URN, type and name."""
    return {(each.parent, each.type, each.name) for each in found.resources}


def named(found: Recording, kind: str, namespace: str, name: str) -> Declared:
    """The one Kubernetes object of that kind, by its namespace and name."""
    (one,) = [
        each
        for each in found.resources
        if each.type.endswith(f":{kind}")
        and each.type.startswith("kubernetes:")
        and each.inputs["metadata"].get("namespace") == namespace
        and each.inputs["metadata"]["name"] == name
    ]
    return one
