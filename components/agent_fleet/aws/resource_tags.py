"""The tags of every cloud resource of a fleet, from one place: cost reports and clean-ups go by them."""

from collections.abc import Mapping

import pulumi

PROJECT = "agent-fleet"
DEFAULT_OWNER = "agent-fleet"


def tags(
    fleet: pulumi.Input[str],
    component: str,
    owner: pulumi.Input[str] | None = None,
    *,
    name: pulumi.Input[str] | None = None,
    extra: Mapping[str, pulumi.Input[str]] | None = None,
) -> dict[str, pulumi.Input[str]]:
    """Project, stack, component and owner; `name` is what the console shows, `extra` is read by other programs."""
    found: dict[str, pulumi.Input[str]] = {
        "project": PROJECT,
        "stack": fleet,
        "component": component,
        "owner": DEFAULT_OWNER if owner is None else owner,
    }
    if name is not None:
        found["Name"] = name
    return {**found, **(extra or {})}
