"""The labels and names of a fleet's objects in a cluster: written once, so that all of a fleet can be found."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from agent_fleet.labels import FLEET_LABEL, ROLE_LABEL

POOL_LABEL = "agent-fleet.pool"
TEAM_LABEL = "agent-fleet.team"
PURPOSE_LABEL = "agent-fleet.purpose"
"""Of namespaces: pools, sandboxes or system."""

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""Kubernetes itself puts it on every namespace, so that nobody can pass for another."""

UNTRUSTED_NODE = "agent-fleet.io/untrusted"
"""Label and taint (value `true`, effect `NoSchedule`) of nodes for strangers' code."""


def selector_labels(fleet: str, role: str, pool: str | None = None) -> dict[str, str]:
    """The labels by which pods are selected: a Deployment can never change them."""
    found = {FLEET_LABEL: fleet, ROLE_LABEL: role}
    return found if pool is None else {**found, POOL_LABEL: pool}


def object_labels(fleet: str, role: str, *, team: str | None = None, pool: str | None = None) -> dict[str, str]:
    """All labels of one object: Kubernetes' recommended ones and the fleet's own."""
    found = {
        "app.kubernetes.io/name": "agent-fleet",
        "app.kubernetes.io/instance": fleet,
        "app.kubernetes.io/component": role,
        "app.kubernetes.io/part-of": "agent-fleet",
        "app.kubernetes.io/managed-by": "pulumi",
        **selector_labels(fleet, role, pool),
    }
    return found if team is None else {**found, TEAM_LABEL: team}


def metadata(
    name: str,
    namespace: pulumi.Input[str] | None,
    labels: Mapping[str, str],
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    """An object's metadata, with a name of its own: a generated one could not be written down anywhere."""
    return k8s.meta.v1.ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels=dict(labels),
        annotations=None if annotations is None else dict(annotations),
    )


def namespaces_named(names: list[str]) -> k8s.meta.v1.LabelSelectorArgs:
    """Selects namespaces by their names; raises ValueError for none, which would select nothing at all."""
    if not names:
        raise ValueError("no namespace is named, so nobody would be let in: name at least one")
    return k8s.meta.v1.LabelSelectorArgs(
        match_expressions=[
            k8s.meta.v1.LabelSelectorRequirementArgs(key=NAMESPACE_NAME_LABEL, operator="In", values=names)
        ]
    )
