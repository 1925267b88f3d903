"""The labels that every object of a fleet carries: written once, so that all of a fleet can be found."""

from collections.abc import Mapping

import pulumi

FLEET_LABEL = "agent-fleet.fleet"
ROLE_LABEL = "agent-fleet.role"


def labels(fleet: pulumi.Input[str], role: str) -> Mapping[str, pulumi.Input[str]]:
    """The labels of one object: the fleet that it belongs to and the part that it plays there."""
    return {FLEET_LABEL: fleet, ROLE_LABEL: role}
