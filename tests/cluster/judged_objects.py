"""Everything that is judged: a fleet of every component and option, and each stack of the project in a cluster."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from composed_fleet import everything
from declared_manifests import Manifest, declared, pod_template
from rendered_objects import stacks

COMPOSED = "composed"
GUARDS = ("Namespace", "RuntimeClass", "ResourceQuota", "LimitRange", "ServiceAccount")
"""What must be there for the rest to be judged by it."""


@cache
def _composed(fleet: str) -> tuple[Manifest, ...]:
    return tuple(declared(lambda: everything(fleet)))


def fleet_of(source: str) -> str:
    """The fleet's name in one source."""
    return "agent-fleet-judged" if source == COMPOSED else f"agent-fleet-{source}"


def all_sources() -> list[str]:
    """The names of what is judged."""
    return [COMPOSED, *_stacks()]


def objects_of(source: str) -> tuple[Manifest, ...]:
    """Every object of one source."""
    if source == COMPOSED:
        return _composed(fleet_of(source))
    return tuple(_stacks()[source])


def pods_of(manifests: tuple[Manifest, ...]) -> Iterator[tuple[Manifest, Manifest]]:
    """Each workload with its pod template as a Pod of its own."""
    for manifest in manifests:
        template = pod_template(manifest)
        if template is not None:
            metadata: dict[str, Any] = dict(template.get("metadata", {}))
            metadata |= {
                "name": f"{manifest['metadata']['name']}-judged",
                "namespace": manifest["metadata"]["namespace"],
            }
            # What a StatefulSet makes of its claims' templates.
            claimed = [
                {"name": name, "persistentVolumeClaim": {"claimName": name}}
                for each in manifest["spec"].get("volumeClaimTemplates", [])
                if (name := each["metadata"]["name"])
            ]
            spec = {**template["spec"], "volumes": [*template["spec"].get("volumes", []), *claimed]}
            yield manifest, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@cache
def _stacks() -> dict[str, list[Manifest]]:
    return stacks()
