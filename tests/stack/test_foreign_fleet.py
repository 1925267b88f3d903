"""Two checkouts on one machine."""

from pathlib import Path

import pytest
from deployed_stack import CHECKOUT, DeployedStack
from docker import DockerClient

from engine.errors import UserFacingError
from engine.paths import Paths
from engine.stack_state import StackState
from engine.targets.docker_objects import FleetObjects, refuse_foreign_fleet


def test_a_running_fleet_of_another_checkout_is_left_alone(
    stack: DeployedStack, daemon: DockerClient, tmp_path: Path
) -> None:
    """A second clone's first `make up` must not take a working fleet for the remains of an interrupted run."""
    objects = FleetObjects(daemon, stack.fleet)
    with pytest.raises(UserFacingError, match="did not deploy it") as refused:
        refuse_foreign_fleet(objects, StackState(tmp_path, stack.name), stack.fleet)
    assert f"{stack.fleet}-database" in refused.value.message
    assert "make down" in refused.value.remedy
    refuse_foreign_fleet(objects, StackState(Paths(CHECKOUT).state, stack.name), stack.fleet)
    refuse_foreign_fleet(FleetObjects(daemon, f"{stack.fleet}-other"), StackState(tmp_path, "other"), "other")
